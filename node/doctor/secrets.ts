/** Whether the files that make this node who it is are whole, and nobody else's to read. */
import { createPrivateKey } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { CodedError } from '../../src/base/base.ts'
import { findCluster } from '../../src/swarm/cluster/cluster.ts'
import { parseToken } from '../../src/swarm/cluster/token.ts'
import { authorityFrom } from '../tls/own-authority.ts'
import { type Check, type Finding, fault, fine, isRefusal, note } from './check.ts'

export interface SecretFacts {
  name: 'identity' | 'cluster' | 'authority' | 'tls-authority'
  path: string
  state: 'whole' | 'broken' | 'absent' | 'unreadable'
  mode: number
  /** What is broken about it. */
  reason?: string
}

const remedies = {
  identity:
    'restore it from a backup; without it this node would come back as another one, and its rules with it',
  cluster: 'join again: shoal serve --join "$(ssh OTHER-HOST shoal token)"',
  authority: 'import the key from where you keep it: shoal authority import FILE',
  'tls-authority':
    'restore it from a backup; or remove it, restart the node, and give clients the new one: shoal client-config docker',
}

/** `hasData` tells whether a node has worked in this folder before. */
export function judgeSecrets(secrets: SecretFacts[], hasData: boolean): Finding[] {
  const unread = secrets.filter(({ state }) => state === 'unreadable').map(({ name }) => name)
  const unseen =
    unread.length === 0
      ? []
      : [note(`${listed(unread)} cannot be read by this user`, 'run shoal doctor as the user of the node')]
  const findings = secrets.flatMap(({ name, path, state, mode, reason = '' }): Finding[] => {
    if (state === 'unreadable') return []
    if (state === 'absent') {
      return hasData && (name === 'identity' || name === 'cluster')
        ? [fault(`${path} is gone`, remedies[name])]
        : []
    }
    const broken = state === 'broken' ? [fault(`${path} is broken: ${reason}`, remedies[name])] : []
    const open = (mode & 0o077) !== 0
    const octal = mode.toString(8)
    return open
      ? [
          ...broken,
          fault(
            `${path} has mode ${octal}, so that other users may take the secret in it`,
            `chmod 600 ${path}`,
          ),
        ]
      : broken
  })
  const kept = secrets.filter(({ state }) => state === 'whole').map(({ name }) => name)
  if (findings.length > 0 || unseen.length > 0 || kept.length === 0) return [...findings, ...unseen]
  return [fine(`${kept.join(', ')} ${kept.length === 1 ? 'is' : 'are'} whole and of mode 600`)]
}

function listed(names: string[]): string {
  return names.join(', ').replace(/, ([^,]*)$/, ' and $1')
}

export const secrets: Check = {
  name: 'secrets',
  async examine({ settings }) {
    const names = ['identity', 'cluster', 'authority', 'tls-authority'] as const
    const looked = await Promise.all(names.map((name) => look(name, join(settings.data, name))))
    return judgeSecrets(looked, await exists(join(settings.data, 'db')))
  },
}

async function look(name: SecretFacts['name'], path: string): Promise<SecretFacts> {
  try {
    const mode = (await stat(path)).mode & 0o777
    const reason =
      findDamage(name, await readFile(path, 'utf8')) ??
      (name === 'cluster' && (mode & 0o077) === 0 ? await findLostLine(path) : undefined)
    return reason === undefined
      ? { name, path, mode, state: 'whole' }
      : { name, path, mode, state: 'broken', reason }
  } catch (error) {
    if (isRefusal(error, 'ENOENT', 'ENOTDIR')) return { name, path, mode: 0, state: 'absent' }
    if (isRefusal(error, 'EACCES')) return { name, path, mode: 0, state: 'unreadable' }
    throw error
  }
}

/** What is wrong with it, in words that hold nothing of the secret. */
function findDamage(name: SecretFacts['name'], text: string): string | undefined {
  try {
    if (name === 'cluster') parseToken(text.split('\n', 1)[0] ?? '')
    else if (name === 'tls-authority') {
      if (authorityFrom(text) === undefined) return 'it holds no key with its certificate'
    } else if (createPrivateKey(text).asymmetricKeyType !== 'ed25519') return 'it holds no Ed25519 key'
    return undefined
  } catch (error) {
    return error instanceof CodedError ? error.message : 'it holds no private key in PEM form'
  }
}

/** Of what a cluster's file holds after its token once a secret or an authority was replaced. */
async function findLostLine(path: string): Promise<string | undefined> {
  try {
    await findCluster(dirname(path))
    return undefined
  } catch (error) {
    if (error instanceof CodedError) return error.message.replace(path, 'it')
    throw error
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (isRefusal(error, 'ENOENT', 'ENOTDIR', 'EACCES')) return false
    throw error
  }
}
