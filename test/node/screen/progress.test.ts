import { describe, expect, it } from 'vitest'
import { openProgress } from '../../../node/screen/progress.ts'

function terminal(isTTY: boolean, columns = 80) {
  const written: string[] = []
  return { isTTY, columns, written, write: (text: string) => written.push(text) }
}

describe('progress', () => {
  it('is a bar on a terminal, shown at most ten times a second and cleared at the end', () => {
    const stream = terminal(true)
    let nowMs = 0
    {
      using progress = openProgress(stream, () => nowMs)
      progress.show('1 blob', 0.25)
      nowMs = 99
      progress.show('2 blobs', 0.5)
      nowMs = 100
      progress.show('3 blobs', 2)
    }
    expect(stream.written).toEqual([
      `\r\u001b[K[${'#'.repeat(6)}${'-'.repeat(18)}] 25% 1 blob`,
      `\r\u001b[K[${'#'.repeat(24)}]100% 3 blobs`,
      '\r\u001b[K',
    ])
  })

  it('never wraps a line', () => {
    const stream = terminal(true, 20)
    openProgress(stream, () => 0).show('x'.repeat(100))
    expect(stream.written).toEqual([`\r\u001b[K${'x'.repeat(18)}…`])
  })

  it('is silent where nobody looks', () => {
    const stream = terminal(false)
    using progress = openProgress(stream)
    progress.show('1 blob', 0.5)
    progress[Symbol.dispose]()
    expect(stream.written).toEqual([])
  })
})
