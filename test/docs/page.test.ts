import { describe, expect, it } from 'vitest'
import { readPage } from './page.ts'

const block = (...lines: string[]): string => ['```console', ...lines, '```'].join('\n')

describe('a page of documentation', () => {
  it('holds commands with their host, and what they print', () => {
    const { blocks, faults } = readPage(
      `text\n${block('host-a$ shoal token', 'shoal1…', '', '$ shoal ls \\', '  --json', 'host-b$ docker pull x')}`,
    )
    expect(faults).toEqual([])
    expect(blocks).toEqual([
      {
        line: 2,
        commands: [
          { line: 3, host: 'host-a', text: 'shoal token', output: ['shoal1…'] },
          { line: 6, host: 'host', text: 'shoal ls --json', output: [] },
          { line: 8, host: 'host-b', text: 'docker pull x', output: [] },
        ],
      },
    ])
  })

  it('says which block is not run, and why', () => {
    const once = `<!-- not run: needs a line -->\n\n${block('$ ping x')}\n${block('$ shoal ls')}`
    expect(readPage(once).blocks.map(({ notRun }) => notRun)).toEqual(['needs a line', undefined])
    const stale = `<!-- not run: needs a line -->\nSome words.\n${block('$ shoal ls')}`
    expect(readPage(stale).blocks.map(({ notRun }) => notRun)).toEqual([undefined])
  })

  it('tells code of other kinds and code in the text from commands', () => {
    const page = readPage(
      'See `shoal ls` and `a`.\n\n```json\n{}\n```\n\n```text\nshoal\n```\n\n    shoal gc\n',
    )
    expect(page.blocks).toEqual([])
    expect(page.spans.map(({ text }) => text)).toEqual(['shoal ls', 'a'])
    expect(page.otherCode).toEqual([
      { line: 4, text: '{}' },
      { line: 11, text: 'shoal gc' },
    ])
  })

  it.each([
    [block('output first', '$ shoal ls'), 'no command prints "output first"'],
    [block('$ shoal ls', '$ shoal gc \\'), '"shoal gc" goes on in no line'],
    [block(), 'the block holds no command'],
    ['```console\n$ shoal ls', 'the block does not end'],
  ])('has a fault where it reads %j', (text, fault) => {
    expect(readPage(text).faults.map((found) => found.text)).toEqual([fault])
  })
})
