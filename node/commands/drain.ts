/** `shoal drain`: brings what this node holds elsewhere, before it goes for good. */
import { perform } from '../admin/perform.ts'
import { defineCommand, json } from '../command-line/command.ts'
import { formatCount, print } from '../screen/output.ts'
import { openProgress } from '../screen/progress.ts'
import { duration } from '../settings/kinds.ts'

export const command = defineCommand({
  usage: ['drain [--within TIME] [--json]'],
  about: `
Brings what was pushed and is on this host to as many other members as the policy wants copies, one where it wants none
elsewhere, and waits until they say that they hold all of it. From then on this node offers no room, until it is started
anew: its images go to others while it runs on. What is mirrored stays, since its upstream has it. Exits with 0 once
the host can go, with 1 when that TIME is over before that, naming what would be lost. With --json each step, and then
the result, is a line.`,
  flags: {
    within: { kind: duration, value: 'TIME', help: 'give up after that (default: wait as long as it takes)' },
    json,
  },
  maxWords: 0,
  examples: [
    ['drain', 'before the host is taken away'],
    ['drain --within 30m', 'from a script'],
  ],
  async run({ settings, flags }) {
    const printLine = (value: unknown): void => print(`${JSON.stringify(value)}\n`)
    using progress = openProgress()
    const params = flags.within === undefined ? {} : { withinMs: flags.within }
    const result = await perform(settings, 'drain', params, (event) => {
      if (flags.json) printLine({ type: 'progress', ...event })
      else progress.show(`${event.moved} of ${formatCount(event.images, 'image')} elsewhere`, part(event))
    })
    progress[Symbol.dispose]()
    const { images, left } = result
    if (flags.json) printLine({ type: 'result', ...result })
    else if (left.length === 0)
      print(
        `${formatCount(images, 'image')} of this host ${images === 1 ? 'is' : 'are'} elsewhere as well: it can go\n`,
      )
    else for (const image of left) process.stderr.write(`only here, or not at enough members: ${image}\n`)
    return left.length === 0 ? 0 : 1
  },
})

function part({ images, moved }: { images: number; moved: number }): number {
  return images === 0 ? 1 : moved / images
}
