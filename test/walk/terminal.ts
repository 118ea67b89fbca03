/** A terminal of a walk: what is typed in it runs in a pty, and what a person would read comes back. */
import { spawn } from 'node:child_process'
import { stripVTControlCharacters } from 'node:util'
import { findProgram } from '../e2e/requirement.ts'

export interface Typing {
  env: Record<string, string>
  cwd: string
  /** Given to a question of yes or no; one line asks one at most. */
  answer?: string
}

/** What asks echoes the answer itself. A command that does not end must not keep the walk; its exit code is 124 then. */
const limitSeconds = 60
const command = `stty cols 120 rows 50 -echo; timeout --foreground ${limitSeconds} sh -c "$LINE"; echo "[$?]"`
const question = /\[y\/N\] $/

/** Runs one line in a shell of its own; resolves with what stood on the screen, and below it the exit code in brackets. */
export async function typeInTerminal(line: string, { env, cwd, answer = 'n' }: Typing): Promise<string> {
  const script = findProgram('script')
  if (script === undefined) throw new Error('there is no `script`, which makes terminals; util-linux has it')
  const child = spawn(script, ['--quiet', '--command', command, '/dev/null'], {
    cwd,
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, ...env, LINE: line, TERM: 'xterm', SHELL: '/bin/sh' },
  })
  let screen = ''
  let isAnswered = false
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    screen += text
    // What moves the cursor may follow the question in a piece of its own.
    if (isAnswered || !question.test(stripVTControlCharacters(screen))) return
    isAnswered = true
    child.stdin.write(`${answer}\r`)
  })
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', () => resolve())
  })
  return shown(screen)
}

/** A line that goes back to its beginning is written over. */
function shown(screen: string): string {
  return stripVTControlCharacters(screen)
    .split(/\r*\n/)
    .map((line) => line.split('\r').at(-1))
    .join('\n')
}
