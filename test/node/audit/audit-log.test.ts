import { readFile, stat } from 'node:fs/promises'
import { expect, it, vi } from 'vitest'
import { openAuditLog } from '../../../node/audit/audit-log.ts'
import { auditRequests } from '../../../node/audit/audited-requests.ts'
import { SignInError } from '../../../src/access/errors.ts'
import { OciError } from '../../../src/oci/oci.ts'
import { signAccount } from '../../../src/records/records.ts'
import { openScratchFolder } from '../../e2e/scratch-folder.ts'
import { identity } from '../../records/fixture.ts'
import { openOperatedNode } from '../operations/fixture.ts'
import { digest, finished, startMs } from '../requests/finished.ts'

const logger = { debug: vi.fn(), info: vi.fn(), warn: vi.fn(), error: vi.fn() }

async function linesAfter(
  work: (audit: ReturnType<typeof openAuditLog>) => void,
  options: { maxBytes?: number } = {},
): Promise<{ lines: Record<string, unknown>[]; text: string; before: string; mode: number }> {
  await using folder = await openScratchFolder()
  const audit = openAuditLog({
    directory: folder.path,
    node: 'this-node',
    nowMs: () => startMs,
    logger,
    ...options,
  })
  work(audit)
  await audit[Symbol.asyncDispose]()
  const file = folder.at('audit.log')
  const text = await readFile(file, 'utf8')
  const lines = text.trimEnd().split('\n')
  return {
    text,
    lines: lines.map((line) => JSON.parse(line) as Record<string, unknown>),
    before: await readFile(`${file}.1`, 'utf8').catch(() => ''),
    mode: (await stat(file)).mode & 0o777,
  }
}

it('has a line of JSON for each push and deletion: who, from where, through which node, what', async () => {
  const content = { repository: 'team/app', digest, mediaType: 'a/b', size: 3, tags: ['1'] }
  const { lines, mode } = await linesAfter((audit) => {
    using requests = auditRequests(audit)
    requests.listener(finished({ push: { kind: 'manifest', ...content, isMount: false }, account: 'ann' }))
    requests.listener(finished({ push: { kind: 'blob', ...content, tags: [], isMount: true } }))
    requests.listener(
      finished({ deletion: { kind: 'tag', repository: 'team/app', reference: '1' }, account: 'robot$ci' }),
    )
    requests.listener(finished({ account: 'ann' }))
  })
  const common = {
    time: new Date(startMs).toISOString(),
    node: 'this-node',
    from: '127.0.0.1',
    repository: 'team/app',
  }
  expect(lines).toEqual([
    { ...common, action: 'push', account: 'ann', kind: 'manifest', digest, tags: ['1'] },
    { ...common, action: 'mount', kind: 'blob', digest },
    { ...common, action: 'delete', account: 'robot$ci', kind: 'tag', reference: '1' },
  ])
  expect(mode).toBe(0o600)
})

it('names of who was not let in the account that there is, and counts the rest of a second', async () => {
  const { lines } = await linesAfter((audit) => {
    using requests = auditRequests(audit)
    requests.listener(finished({ error: new SignInError('UNAUTHORIZED', 'wrong', { account: 'ann' }) }))
    for (let n = 0; n < 1000; n++)
      requests.listener(finished({ error: new SignInError('TOOMANYREQUESTS', 'wait') }))
  })
  expect(lines).toHaveLength(11)
  expect(lines[0]).toMatchObject({
    action: 'sign-in refused',
    account: 'ann',
    from: '127.0.0.1',
    code: 'UNAUTHORIZED',
  })
  expect(lines[1]).not.toHaveProperty('account')
  expect(lines.at(-1)).toMatchObject({ action: 'sign-in refused', more: 991 })
})

it('tells what somebody who signed in was not let do, and nothing of a password in the question', async () => {
  const { lines } = await linesAfter((audit) => {
    using requests = auditRequests(audit)
    const error = new OciError('DENIED', 'ann may not delete team/app')
    const request = { method: 'DELETE', url: `/v2/team/app/manifests/1?${'x'.repeat(9000)}` }
    requests.listener(finished({ error, account: 'ann', request: request as never }))
    requests.listener(finished({ error: new OciError('DENIED', 'pages may not ask') }))
    requests.listener(finished({ error: new OciError('MANIFEST_UNKNOWN', 'no'), account: 'ann' }))
    for (let n = 0; n < 1000; n++) requests.listener(finished({ error, account: 'ann' }))
    requests.listener(finished({ error: new SignInError('UNAUTHORIZED', 'wrong') }))
  })
  expect(lines[0]).toMatchObject({
    action: 'denied',
    account: 'ann',
    from: '127.0.0.1',
    method: 'DELETE',
    path: '/v2/team/app/manifests/1',
  })
  expect(lines.filter(({ action }) => action === 'denied')).toHaveLength(11)
  expect(lines).toContainEqual(expect.objectContaining({ action: 'denied', more: 991 }))
  // Who asks for what they may not keeps no guess out of the log.
  expect(lines).toContainEqual(expect.objectContaining({ action: 'sign-in refused', code: 'UNAUTHORIZED' }))
})

it('makes way for the next file before it is too large, and keeps the one before', async () => {
  await using folder = await openScratchFolder()
  const open = () =>
    openAuditLog({ directory: folder.path, node: 'n', nowMs: () => startMs, logger, maxBytes: 300 })
  for (let n = 0; n < 9; n++) {
    const audit = open()
    audit.write({ action: `change-${n}`, from: 'here' })
    await audit[Symbol.asyncDispose]()
    for (const name of ['audit.log', 'audit.log.1'].slice(0, n < 4 ? 1 : 2))
      expect((await stat(folder.at(name))).size).toBeLessThanOrEqual(300)
  }
  const both =
    (await readFile(folder.at('audit.log.1'), 'utf8')) + (await readFile(folder.at('audit.log'), 'utf8'))
  expect(both).toContain('change-8')
  expect(both).not.toContain('change-0')
})

it('stops nothing where it cannot be written, and says so', async () => {
  const audit = openAuditLog({ directory: '/proc/nowhere', node: 'n', nowMs: () => startMs, logger })
  audit.write({ action: 'push', from: 'here' })
  await audit[Symbol.asyncDispose]()
  expect(logger.error).toHaveBeenCalledOnce()
})

it('tells of accounts and the policy, and never what proves who somebody is', async () => {
  const operated = await openOperatedNode()
  const { perform, data } = operated
  await perform('account-add', { name: 'ann', password: 'hunter2-secret', groups: ['ci'] })
  await perform('account-password', { name: 'ann', password: 'hunter2-next' })
  const { secret } = await perform('account-robot', { name: 'deploy', groups: [] })
  const renewed = await perform('account-renew', { name: 'robot$deploy' })
  await perform('account-disable', { name: 'ann', disabled: true })
  await perform('policy-set', {
    policy: { access: [{ repositories: '**', who: ['anyone'], may: ['pull'] }] },
  })
  await perform('account-rm', { name: 'ann' })
  const signer = identity(1)
  await perform('policy-set', { policy: { administrators: [signer.peerId] } })
  const value = { type: 'robot' as const, secret: Buffer.alloc(32), groups: [] }
  const record = signAccount({ name: 'robot$ci', value, standing: undefined }, signer, Date.now())
  await perform('record-submit', { record: Buffer.from(record).toString('base64') })
  await perform('account-ls', {})
  await expect(perform('account-rm', { name: 'ann' })).rejects.toThrow()
  await operated.node.audit[Symbol.asyncDispose]()
  const text = await readFile(`${data}/audit.log`, 'utf8')
  await operated[Symbol.asyncDispose]()
  const lines = text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
  expect(lines.map(({ action, name = '' }) => `${action} ${name}`.trim())).toEqual([
    'account-add ann',
    'account-password ann',
    'account-robot robot$deploy',
    'account-renew robot$deploy',
    'account-disable ann',
    'policy-set',
    'account-rm ann',
    'policy-set',
    'record-submit robot$ci',
  ])
  expect(lines.at(-1)).toMatchObject({ kind: 'account', author: signer.peerId, from: 'admin.sock' })
  for (const proof of ['hunter2', secret, renewed.secret]) expect(text).not.toContain(proof)
  expect(lines[5]).toMatchObject({ from: 'admin.sock', policy: { access: [{ repositories: '**' }] } })
})

it('writes a line that comes alone at once, and those that follow shortly after together', async () => {
  await using folder = await openScratchFolder()
  const sleeps: PromiseWithResolvers<void>[] = []
  const asleep = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const clock = {
    now: () => startMs,
    sleep() {
      const slept = Promise.withResolvers<void>()
      asleep[sleeps.push(slept) - 1]?.resolve()
      return slept.promise
    },
  }
  const audit = openAuditLog({ directory: folder.path, node: 'n', nowMs: () => startMs, logger, clock })
  const written = async () => (await readFile(folder.at('audit.log'), 'utf8')).match(/"action":"\w+"/g)
  audit.write({ action: 'one', from: 'page' })
  await asleep[0]?.promise
  expect(await written()).toEqual(['"action":"one"'])
  for (const action of ['two', 'three']) audit.write({ action, from: 'page' })
  sleeps[0]?.resolve()
  await asleep[1]?.promise
  expect(await written()).toHaveLength(3)
  sleeps[1]?.resolve()
  await audit[Symbol.asyncDispose]()
})
