/** Where copies are: seen in the nodes' folders, and told by their metrics. */
import { access } from 'node:fs/promises'
import type { Node } from '../cluster/nodes.ts'
import { storedPath } from '../swarm/push.ts'

/** How many of the nodes have the blob under its name. */
export async function countHolders(nodes: readonly Node[], digest: string): Promise<number> {
  const held = await Promise.all(nodes.map(({ data }) => isHeld(data, digest)))
  return held.filter((isHere) => isHere).length
}

export async function isHeld(data: string, digest: string): Promise<boolean> {
  try {
    await access(storedPath(data, digest))
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false
    throw error
  }
}

/** Images that they know to be short of copies: an owner, until its own is durable. */
export async function shortImages(nodes: readonly Node[]): Promise<number> {
  return await sumOf(nodes, 'shoal_copies_short_images')
}

/** Whether each of them places copies on so many members, itself among them. */
export async function countMembers(nodes: readonly Node[], members: number): Promise<boolean> {
  return (await sumOf(nodes, 'shoal_copies_members')) === nodes.length * members
}

/** That all of them have fetched as owners, since each was started. */
export async function broughtBytes(nodes: readonly Node[]): Promise<number> {
  return await sumOf(nodes, 'shoal_copies_brought_bytes_total')
}

async function sumOf(nodes: readonly Node[], name: string): Promise<number> {
  const values = await Promise.all(nodes.map((node) => readMetric(node, name)))
  return values.reduce((total, value) => total + value, 0)
}

/** What nobody has counted yet is not there. */
async function readMetric(node: Node, name: string): Promise<number> {
  const { body } = await node.get('/metrics')
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(body.toString())?.[1] ?? 0)
}
