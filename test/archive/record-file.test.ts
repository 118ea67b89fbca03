import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ArchiveError, decodeRecords, encodeRecords } from '../../src/archive/archive.ts'

async function decode(text: string | Buffer, chunkLength = 7): Promise<Uint8Array[]> {
  const bytes = Buffer.from(text)
  async function* chunks() {
    for (let at = 0; at < bytes.length; at += chunkLength) yield bytes.subarray(at, at + chunkLength)
  }
  return await Array.fromAsync(decodeRecords(chunks()))
}

describe('the file of records', () => {
  it('gives back what was written, however it is cut', async () => {
    const records = fc.array(fc.uint8Array({ minLength: 1, maxLength: 100 }), { maxLength: 5 })
    await fc.assert(
      fc.asyncProperty(records, fc.integer({ min: 1, max: 50 }), async (written, length) => {
        const read = await decode(encodeRecords(written), length)
        expect(read.map((record) => Buffer.from(record))).toEqual(
          written.map((record) => Buffer.from(record)),
        )
      }),
    )
  })

  it('begins with its version', () => {
    expect(encodeRecords([Buffer.from('a record')])).toBe('shoal-records 1\nYSByZWNvcmQ=\n')
  })

  it.each([
    ['is empty', ''],
    ['has another version', 'shoal-records 2\n'],
    ['is not Base64', 'shoal-records 1\n<>\n'],
    ['has an empty line', 'shoal-records 1\n\n'],
    ['breaks off', 'shoal-records 1\nYSBy'],
    ['has a line without end', `shoal-records 1\n${'A'.repeat(200_000)}`],
  ])('is refused when it %s', async (_what, text) => {
    await expect(decode(text, 4096)).rejects.toBeInstanceOf(ArchiveError)
  })
})
