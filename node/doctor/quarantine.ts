/** Whether content was found that did not hash to its name. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { formatCount } from '../screen/output.ts'
import { type Check, type Finding, fault, fine, isRefusal } from './check.ts'

export function describeQuarantine(files: number): string {
  return `${formatCount(files, 'file')} in quarantine did not hash to what was stored`
}

export function judgeQuarantine(folder: string, files: string[]): Finding[] {
  const [first] = files
  if (first === undefined) return [fine('nothing that was stored has turned out to be wrong')]
  return [
    fault(
      `${describeQuarantine(files.length)}, such as ${first}`,
      `a disk or memory is failing: look at dmesg and smartctl, run shoal verify, then remove ${folder}/*`,
    ),
  ]
}

export const quarantine: Check = {
  name: 'content',
  async examine({ settings }) {
    const folder = join(settings.data, 'quarantine')
    try {
      return judgeQuarantine(folder, await readdir(folder))
    } catch (error) {
      if (isRefusal(error, 'ENOENT', 'ENOTDIR', 'EACCES')) return []
      throw error
    }
  },
}
