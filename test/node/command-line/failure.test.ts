import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { OperationError } from '../../../node/admin/client.ts'
import { explainFailure } from '../../../node/command-line/failure.ts'
import { TokenError } from '../../../src/swarm/errors.ts'
import { identityFromSeed } from '../../../src/wire/wire.ts'

function systemError(code: string, facts: object): Error {
  return Object.assign(new Error(`${code}: words of Node, call`), { code, ...facts })
}

async function refusalOfListening(host: string): Promise<Error> {
  return await new Promise((resolve) => createServer().once('error', resolve).listen(0, host))
}

describe('a command that failed', () => {
  it('was not understood where a token is none', () => {
    const message = 'the join token does not start with "shoal1:"'
    expect(explainFailure(new TokenError(message))).toMatchObject({
      code: 'TOKEN_INVALID',
      message,
      exitCode: 2,
    })
  })

  it('names hosts to people, and their ids to programs', () => {
    const peer = identityFromSeed(new Uint8Array(32)).peerId
    const failure = explainFailure(
      new OperationError('X', `${peer} is banned`, { called: { [peer]: 'host-b' } }),
    )
    expect(failure).toMatchObject({ message: `${peer} is banned`, words: 'host-b is banned' })
  })

  it('was not understood where the running node says so', () => {
    expect(explainFailure(new OperationError('USAGE', 'x'))?.exitCode).toBe(2)
    expect(explainFailure(new OperationError('NAME_UNKNOWN', 'x'))?.exitCode).toBe(1)
  })

  it.each([
    [systemError('ENOSPC', { syscall: 'write' }), 'write: the disk is full; make room (shoal gc'],
    [systemError('EACCES', { syscall: 'open', path: '/data/db' }), '/data/db: this user may not; run it as'],
    [systemError('EIDRM', { syscall: 'stat', path: '/x' }), '/x: the system refuses it (EIDRM)'],
    [
      systemError('ECONNREFUSED', { syscall: 'connect', address: '127.0.0.1', port: 1 }),
      '127.0.0.1:1: nobody listens there',
    ],
  ])('says in words of its own what the system refused: %s', (error, words) => {
    const failure = explainFailure(error)
    expect(failure?.message).toContain(words)
    expect(failure?.message).not.toContain('words of Node')
    expect(failure?.exitCode).toBe(1)
  })

  it('says so of what Node itself throws', async () => {
    // An address for documentation (RFC 5737), which no host has.
    expect(explainFailure(await refusalOfListening('203.0.113.7'))).toMatchObject({
      code: 'EADDRNOTAVAIL',
      message:
        '203.0.113.7: it is no address of this host; choose another (--http, --p2p or --metrics HOST:PORT)',
    })
    const folder = mkdtempSync(join(tmpdir(), 'shoal-failure-'))
    try {
      readFileSync(folder)
    } catch (error) {
      expect(explainFailure(error)?.message).toBe('read: it is a folder')
    }
    rmSync(folder, { recursive: true })
  })

  it('is left to its trace where the program itself is at fault', () => {
    expect(explainFailure(new TypeError('x is not a function'))).toBeUndefined()
    expect(explainFailure('thrown')).toBeUndefined()
  })
})
