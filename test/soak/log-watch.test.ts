import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { complaintOf, LogWatch } from './log-watch.ts'

describe('a line of a node', () => {
  it.each([
    '{"level":30,"msg":"pulled blob"}',
    '{"level":40,"msg":"a pull broke off"}',
    'shoal is ready: registry http://127.0.0.1:5000, peers 0.0.0.0:5001',
    '',
  ])('may be %j', (line) => {
    expect(complaintOf(line, new Set())).toBeUndefined()
  })

  it('may be an error that a fault explains, once that has happened', () => {
    const line = '{"level":50,"digest":"sha256:ab","msg":"a blob has rotted on the disk"}'
    expect(complaintOf(line, new Set(['kill']))).toMatch(/level error/)
    expect(complaintOf(line, new Set(['rot']))).toBeUndefined()
  })

  it('may be what a node says that finds no room to start', () => {
    const line =
      'shoal: the disk of /data is full, and its database takes up to 16 MiB to be opened: make room'
    expect(complaintOf(line, new Set(['kill']))).toMatch(/not of the log/)
    expect(complaintOf(line, new Set(['disk']))).toBeUndefined()
  })

  it.each([
    ['{"level":50,"msg":"request failed"}', /level error/],
    ['{"level":60,"msg":"fatal"}', /level error/],
    ['(node:12) [DEP0137] DeprecationWarning: Closing a FileHandle on garbage collection', /not of the log/],
    ['node:internal/process/promises:394', /not of the log/],
    ['    at async foo (file:///a/b.ts:1:2)', /not of the log/],
    ['{"level":30,"msg":"cut', /not of the log/],
  ])('must not be %j', (line, complaint) => {
    expect(complaintOf(line, new Set())).toMatch(complaint)
  })
})

describe('a log watch', () => {
  it('puts chunks together to lines, keeps them with their time, and finds what concerns a word', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'shoal-soak-log-'))
    const complaints: string[] = []
    const file = path.join(folder, 'node.log')
    let nowMs = 1_000
    {
      await using watch = new LogWatch(file, {
        now: () => nowMs,
        faults: () => new Set(),
        onComplaint: (_, { text }) => complaints.push(text),
      })
      watch.feed('{"level":30,"tag":"v')
      watch.feed('1"}\n{"level":30,"tag":"v2"}\n{"level":40,"msg":"odd"}\nboo')
      nowMs = 9_000
      watch.feed('m\n{"level":30,"tag":"v1"}\n')
      expect(watch.around(1_000, 500, { words: ['v1'], warnings: true })).toEqual([
        '+1.000 {"level":30,"tag":"v1"}',
        '+1.000 {"level":40,"msg":"odd"}',
      ])
      expect(watch.around(1_000, 500, { words: [], warnings: false })).toEqual([])
    }
    expect(complaints).toEqual(['boom'])
    expect(await readFile(file, 'utf8')).toContain('+9.000 boom\n')
    await rm(folder, { recursive: true })
  })
})
