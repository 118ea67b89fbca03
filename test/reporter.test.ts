/** `npm test` itself, run over small folders of tests. */
import { spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const root = path.dirname(import.meta.dirname)

describe('npm test', { timeout: 60_000 }, () => {
  let folder: string

  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'shoal-reporter-'))
    await symlink(path.join(root, 'node_modules'), path.join(folder, 'node_modules'))
  })
  afterAll(async () => {
    await rm(folder, { recursive: true, force: true })
  })

  const runOver = async (name: string, files: Record<string, string>) => {
    await mkdir(path.join(folder, name))
    for (const [file, text] of Object.entries(files)) {
      const header = "import { beforeAll, describe, expect, test } from 'vitest'\n"
      await writeFile(path.join(folder, name, file), header + text)
    }
    const args = [path.join(root, 'scripts/test.ts'), '--root', folder, '--dir', path.join(folder, name)]
    const { status, stdout } = spawnSync(process.execPath, args, {
      encoding: 'utf8',
      env: plainEnvironment(),
    })
    return { status, stdout, lastLine: stdout.trimEnd().split('\n').at(-1) }
  }

  test('counts what passed, and says what was skipped and why', async () => {
    const { status, stdout, lastLine } = await runOver('skips', {
      'a.test.ts': `
        test('passes', () => {})
        test('notes', ({ skip }) => skip('no such tool'))
        describe('suite', { skip: true, meta: { lacks: 'lacks a drawbridge' } }, () => {
          describe('inner', () => { test('waits', () => {}) })
        })`,
    })
    expect(lastLine).toBe('1 passed, 0 failed, 2 skipped')
    expect(stdout).toContain('Skipped 1: no such tool')
    expect(stdout).toContain('Skipped 1: lacks a drawbridge\n  skips/a.test.ts > suite > inner > waits')
    expect(status).toBe(0)
  })

  test('counts a failed test, a file that does not load, a hook that throws and a stray rejection', async () => {
    const { status, lastLine } = await runOver('failures', {
      'fails.test.ts': "test('fails', () => expect(1).toBe(2))\ntest('passes', () => {})",
      'does-not-load.test.ts': "import './nowhere.ts'",
      'hook.test.ts':
        "describe('d', () => { beforeAll(() => { throw new Error('no') }); test('t', () => {}) })",
      'stray.test.ts':
        "test('t', async () => { Promise.reject(new Error('stray')); await new Promise(setImmediate) })",
    })
    expect(lastLine).toBe('2 passed, 4 failed, 1 skipped')
    expect(status).toBe(1)
  })

  test('counts a worker that dies and a folder without tests as failures', async () => {
    const dead = await runOver('dead', {
      'dies.test.ts': "test('dies', () => process.kill(process.pid, 'SIGKILL'))",
    })
    expect(dead.lastLine).toMatch(/^0 passed, [1-9] failed$/)
    expect(dead.status).toBe(1)
    const empty = await runOver('empty', {})
    expect(empty.lastLine).toBe('0 passed, 1 failed')
    expect(empty.status).toBe(1)
  })
})

/** The environment without what the surrounding run has set for its own workers. */
function plainEnvironment(): NodeJS.ProcessEnv {
  const own = /^(VITEST|TEST$|NODE_ENV$|MODE$|DEV$|PROD$|SSR$|BASE_URL$|SHOAL_|TEST_SUMMARY$|CI$)/
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !own.test(name)))
}
