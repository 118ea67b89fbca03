import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { ReadBuffers } from '../../src/store/read-buffers.ts'
import { SharedFile } from '../../src/store/shared-file.ts'
import { temporaryFolder } from './scenery.ts'

it('a shared file that could not be opened is opened for the next reader', async () => {
  await using folder = await temporaryFolder()
  const path = join(folder.path, 'part')
  const file = new SharedFile(path, new ReadBuffers(2 ** 20))
  const read = async (): Promise<string> => {
    let text = ''
    for await (const chunk of file.chunks(1, 4)) text += Buffer.from(chunk).toString()
    return text
  }
  await expect(read()).rejects.toThrow('ENOENT')
  await writeFile(path, 'abcdef')
  expect(await Promise.all([read(), read()])).toEqual(['bcd', 'bcd'])
  await file.close()
})
