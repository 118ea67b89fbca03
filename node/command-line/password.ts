/** Passwords, asked at a prompt that shows nothing, or read from standard input: an argument would be seen by all on the host. */
import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { UsageError } from '../settings/settings.ts'

/** Without the end of the line that `echo` and files have. */
export function passwordOf(input: string): string {
  return input.replace(/\r?\n$/, '')
}

export async function readPassword(
  name: string,
  { fromStandardInput }: { fromStandardInput: boolean },
): Promise<string> {
  if (fromStandardInput) return passwordOf(await text(process.stdin))
  if (!process.stdin.isTTY)
    throw new UsageError('there is no terminal to ask for a password on; give it with --password-stdin')
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() })
  const terminal = createInterface({ input: process.stdin, output: silent, terminal: true })
  const ask = async (question: string): Promise<string> => {
    process.stderr.write(question)
    const answer = await terminal.question('')
    process.stderr.write('\n')
    return answer
  }
  try {
    const password = await ask(`Password of ${name}: `)
    if ((await ask('Again: ')) === password) return password
  } finally {
    terminal.close()
  }
  throw new UsageError('the two passwords differ; nothing was changed')
}
