/** `shoal authority`: the key that signs the cluster's policy: where it is, and how it goes over to another one. */
import { readFile, writeFile } from 'node:fs/promises'
import { systemReason } from '../../src/base/base.ts'
import { createAdminKey } from '../../src/swarm/cluster/admin-key.ts'
import { perform } from '../admin/perform.ts'
import { type Proposal, readProposal, signProposal } from '../authority-proposal.ts'
import { findAdminKey, key } from '../command-line/admin-key.ts'
import { defineCommand, json, usageLines } from '../command-line/command.ts'
import type { ShownAuthority } from '../operations/authority.ts'
import { formatTime, print, printJson } from '../screen/output.ts'
import { flag } from '../settings/kinds.ts'
import { type Settings, UsageError } from '../settings/settings.ts'

const usage = [
  'authority export [--drop] [--json]',
  'authority import FILE [--json]',
  'authority show [--json]',
  'authority rotate [--json]',
  'authority admin-key FILE [--json]',
  'authority recover propose|apply FILE [--json]',
  'authority recover sign FILE [--key FILE] [--json]',
  'authority follow PEER [--json]',
]

const actions = ['export', 'import', 'show', 'rotate', 'admin-key', 'recover', 'follow']

export const command = defineCommand({
  usage,
  about: `
The node that started the cluster holds its authority key, which signs the policy. export prints it as one line; with
--drop it is removed from this node afterwards, so keep the line where you keep what must neither leak nor be lost.
Immutable tags are sealed in its place by the policy's sealers, this node if there are none (see shoal policy).
import reads it from FILE (- for standard input) onto a member.

rotate makes a new key and hands the cluster over to it: what stands is signed again, every member follows, tokens go on
working, and what the old key signs from then on counts nowhere. It needs the old key here; the new one takes its place.
show prints which key governs, and how it came to.

admin-key makes a key for an administrator, in a new FILE, and prints the name by which the policy's "administrators" and
"recovery" know it. It belongs to no node: keep the file, and give it to commands with --key.

A key that is lost is replaced by as many of the policy's "recovery" keys as that says. recover propose makes a new key on
this node and writes FILE, which goes from one to the next; recover sign agrees in it; recover apply hands the cluster over,
on the node of the proposal.

Where the authority was handed over twice (shoal doctor says so), follow has this node go with the other key.`,
  flags: { drop: { kind: flag, help: 'remove the key from this node' }, key, json },
  actions,
  maxWords: 3,
  examples: [
    ['authority export --drop >authority.key', 'take the key off this node'],
    ['authority import authority.key', 'let this node govern the cluster'],
    ['authority rotate', 'have a new key govern, as when the old one may have leaked'],
    ['authority admin-key ann.key', 'a key for an administrator'],
    ['authority recover sign proposal.json --key ann.key', 'agree that a lost key is replaced'],
  ],
  async run({ settings, words: [action, ...words], flags }) {
    const [file, ...more] = words
    if (action !== undefined && !actions.includes(action))
      throw new UsageError(`"${action}" is not ${actions.slice(0, -1).join(', ')} or follow`)
    if (flags.drop && action !== 'export') throw new UsageError('--drop is for authority export alone')
    if (flags.key !== undefined && action !== 'recover')
      throw new UsageError('--key is for authority recover sign alone')
    if (action === 'recover') return await recover(settings, words, flags)
    if (more.length > 0) throw new UsageError(`expected: ${usageLines(usage, action)}`)
    if (action === 'show' && file === undefined) {
      const authority = await perform(settings, 'authority-show', {})
      if (flags.json) printJson(authority)
      else print(render(authority))
    } else if (action === 'export' && file === undefined) {
      const { key, sealers } = await perform(settings, 'authority-export', { drop: flags.drop })
      if (flags.json) printJson({ key })
      else print(`${key}\n`)
      if (flags.drop)
        process.stderr.write(
          `The key is gone from here. Immutable tags are sealed by ${sealers.join(', ')}.\n`,
        )
    } else if (action === 'import' && file !== undefined) {
      const key = await read(file)
      await perform(settings, 'authority-import', { key: key.trim() })
      if (flags.json) printJson({})
      process.stderr.write('The key is here, and this node governs the cluster.\n')
    } else if (action === 'rotate' && file === undefined) {
      tellChange(await perform(settings, 'authority-rotate', {}), flags.json)
    } else if (action === 'follow' && file !== undefined) {
      tellChange(await perform(settings, 'authority-follow', { peer: file }), flags.json)
    } else if (action === 'admin-key' && file !== undefined) {
      const { peerId } = await createAdminKey(file)
      if (flags.json) printJson({ key: peerId })
      else print(`${peerId}\n`)
      process.stderr.write(
        `${file} holds the key. The policy's "administrators" names it by what is printed.\n`,
      )
    } else throw new UsageError(`expected: ${usageLines(usage, action)}`)
    return 0
  },
})

async function recover(
  settings: Settings,
  [step, file, ...more]: string[],
  flags: { key: string | undefined; json: boolean },
): Promise<number> {
  if (file === undefined || more.length > 0) throw new UsageError(`expected: ${usageLines(usage, 'recover')}`)
  if (flags.key !== undefined && step !== 'sign')
    throw new UsageError('--key is for authority recover sign alone')
  if (step === 'propose') {
    const proposal = await perform(settings, 'authority-propose', {})
    await writeProposal(file, proposal, 'wx')
    tellProposal(file, proposal, flags.json)
  } else if (step === 'sign') {
    const proposal = readProposal(await read(file), file)
    const own = await findAdminKey(flags.key)
    const signed =
      own === undefined
        ? await perform(settings, 'authority-sign', { proposal })
        : signProposal(proposal, own)
    await writeProposal(file, signed, 'w')
    tellProposal(file, signed, flags.json)
  } else if (step === 'apply') {
    const proposal = readProposal(await read(file), file)
    tellChange(await perform(settings, 'authority-apply', { proposal }), flags.json)
  } else throw new UsageError(`"${step}" is not propose, sign or apply`)
  return 0
}

async function read(file: string): Promise<string> {
  try {
    return await readFile(file === '-' ? '/dev/stdin' : file, 'utf8')
  } catch (cause) {
    throw new UsageError(`${file} cannot be read: ${systemReason(cause)}`, { cause })
  }
}

async function writeProposal(file: string, proposal: Proposal, how: 'w' | 'wx'): Promise<void> {
  await writeFile(file, `${JSON.stringify(proposal, undefined, 2)}\n`, { flag: how })
}

function tellProposal(file: string, proposal: Proposal, asJson: boolean): void {
  if (asJson) {
    printJson(proposal)
    return
  }
  const { from, to, atMs, signatures } = proposal
  const signers = Object.keys(signatures)
  print(
    `${file}: ${to} is to be the authority in place of ${from}, proposed ${formatTime(atMs)} UTC; signed by ${
      signers.length === 0 ? 'nobody yet' : signers.join(', ')
    }\n`,
  )
}

function tellChange(authority: ShownAuthority, asJson: boolean): void {
  if (asJson) printJson(authority)
  else print(`${authority.now} is the authority now\n`)
  if (authority.held)
    process.stderr.write(
      'Its key is on this node alone: keep a copy (shoal authority export). Members follow, and tokens go on working.\n',
    )
}

function render({ root, now, held, handovers, contested }: ShownAuthority): string {
  const chain = handovers.map(
    ({ to, atMs, isReplaced }) =>
      `${isReplaced ? 'replaced by' : 'handed over to'} ${to} ${formatTime(atMs)} UTC`,
  )
  const lines = [
    `${now} is the authority${held ? ', and its key is on this node' : ''}`,
    ...(chain.length === 0 ? [] : [`first ${root}`, ...chain]),
    ...(contested === undefined
      ? []
      : [`${contested.from} was handed over to ${contested.other} as well, which this node does not follow`]),
  ]
  return `${lines.join('\n')}\n`
}
