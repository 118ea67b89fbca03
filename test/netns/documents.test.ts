/** Every page of documentation, followed to the letter: its commands work on the hosts it names, in their order. */
import { describe, expect, test } from 'vitest'
import type { DocumentedCommand } from '../docs/page.ts'
import { pages } from '../docs/pages.ts'
import { greeting } from '../e2e/image.ts'
import { showOutputOnFailure } from '../e2e/process.ts'
import { requires } from '../e2e/requirement.ts'
import { type DocumentedHosts, documentedImage, openDocumentedHosts } from './documented-hosts.ts'
import { networkNeeds } from './network.ts'

// Each daemon of each page listens for this process's end, to go with it.
process.setMaxListeners(100)

const runnable = pages.flatMap(({ file, page }) => {
  const commands = page.blocks.filter(({ notRun }) => notRun === undefined).flatMap((block) => block.commands)
  return commands.length === 0 ? [] : [{ file, commands }]
})

describe(
  'what the documentation says',
  requires(...networkNeeds, 'nsenter', 'dockerd', 'docker', 'bash'),
  () => {
    const all: DocumentedHosts[] = []
    showOutputOnFailure(() => all.flatMap((hosts) => hosts.daemons()))

    test.concurrent.each(runnable)('in $file works', async ({ file, commands }) => {
      await using opened = await openDocumentedHosts(commands)
      all.push(opened)
      for (const command of commands) await expectWorks(opened, file, command)
      if (file !== 'README.md') return
      const pulled = commands.findLast(({ text }) => text.startsWith('docker pull '))
      if (pulled === undefined) throw new Error('nobody who follows the README pulls')
      const started = pulled.text.replace('docker pull', 'docker run --rm --network host')
      expect(await opened.run({ ...pulled, text: started })).toBe(greeting(documentedImage.seed))
    })
  },
)

/** Fails unless it ends well and prints, among other lines, those of the page. */
async function expectWorks(hosts: DocumentedHosts, file: string, command: DocumentedCommand): Promise<void> {
  const where = `${file}:${command.line} ${command.host}$ ${command.text}`
  const printed = await hosts.run(command).catch((cause: unknown) => {
    throw new Error(`${where} does not work`, { cause })
  })
  for (const line of command.output) expect(printed, where).toMatch(patternOf(line))
}

function patternOf(line: string): RegExp {
  const parts = line.split('…').map((part) => RegExp.escape(part.trim()).replaceAll('\\x20', ' +'))
  return new RegExp(`^\\s*${parts.join('.*')}\\s*$`, 'm')
}
