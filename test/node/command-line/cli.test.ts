import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { commands, run } from '../../../node/command-line/cli.ts'
import { openScratchFolder, type ScratchFolder } from '../../e2e/scratch-folder.ts'

let folder: ScratchFolder
let stdout = ''
let stderr = ''

beforeEach(async () => {
  folder = await openScratchFolder()
  stdout = ''
  stderr = ''
  vi.stubEnv('SHOAL_DATA', folder.at('data'))
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    stdout += text
    return true
  })
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    stderr += text
    return true
  })
})
afterEach(async () => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
  await folder[Symbol.asyncDispose]()
})

describe('the command line', () => {
  it('says what it is and what to type next', async () => {
    expect(await run([])).toBe(0)
    expect(stdout).toContain('Shoal is a container registry with no server')
    expect(stdout).toContain(`No node runs on ${folder.at('data')}`)
    expect(stdout).toMatch(/Start a node here +shoal serve/)
  })

  it('lists every command once, under a heading', async () => {
    expect(await run(['--help'])).toBe(0)
    for (const name of Object.keys(commands))
      expect(stdout.match(new RegExp(`^  ${name} `, 'gm'))).toHaveLength(1)
    expect(stdout).not.toContain('\nMore\n')
  })

  it.each(Object.keys(commands))('explains %s with its flags and examples', async (name) => {
    expect(await run([name, '--help'])).toBe(0)
    const help = stdout
    expect(help).toMatch(new RegExp(`^shoal ${name}`))
    expect(help).toContain('--json')
    expect(help).toMatch(/\nExamples\n {2}shoal /)
    for (const line of help.split('\n')) expect(line.length, line).toBeLessThanOrEqual(124)
    stdout = ''
    expect(await run(['help', name])).toBe(0)
    expect(stdout).toBe(help)
  })

  it.each([
    [['account', 'disable', 'ann', '--group', 'x'], '--group is for account add, robot and groups alone'],
    [
      ['account', 'robot', 'ci', '--password-stdin'],
      '--password-stdin is for account add, and passwd of a person, alone',
    ],
    [
      ['account', 'passwd', 'robot$ci', '--password-stdin'],
      '--password-stdin is for account add, and passwd of a person',
    ],
    [['client-config'], 'client-config needs one of docker, containerd, podman\n'],
    [['stauts'], '"stauts" is no command; did you mean shoal status?'],
    [['help', 'verfy'], '"verfy" is no command; did you mean shoal verify?'],
    [['frobnicate'], 'known are serve'],
    [['toString'], '"toString" is no command'],
    [['gc', '--dry-rum'], "Unknown option '--dry-rum'; did you mean --dry-run?"],
    [['gc', '--frobnicate'], "Unknown option '--frobnicate'; --help lists what is known"],
    [['gc', 'everything'], '"everything" is one word too many; expected: shoal gc'],
    [['gc', '--grace', 'soon'], '--grace: "soon" is not accepted; expected a duration such as 30s'],
    [['gc', '--grace'], '--grace needs a value'],
    [['gc', '--json=yes'], '--json takes no value'],
    [['gc', '--grace', '-1'], 'write --grace=VALUE if that is the value\n'],
    [['gc', '--grace=-1'], '--grace: "-1" is not accepted'],
    [['export', 'team/app:1', '-o', '-x'], '--output needs a value, and what follows begins with a dash'],
    [['inspect'], 'expected: shoal inspect IMAGE'],
    [['tag', 'one'], 'expected: shoal tag SOURCE'],
    [['token', 'rotat'], 'token takes nothing, create, ls, revoke or rotate'],
    [['policy', 'show', 'x'], 'policy show takes nothing'],
    [['policy', 'frob'], '"frob" is not show, set, ban or unban'],
    [['policy', 'set'], 'expected: shoal policy set FILE [--dry-run] [--force] [--json]\n'],
    [['policy', 'set', '/nowhere/p'], '/nowhere/p cannot be read: there is no such file or folder'],
    [['token', 'revoke'], 'expected: shoal token revoke ID [--key FILE] [--json]\n'],
    [['token', 'create', '--expires', '0s'], '--expires: "0s" is not accepted; expected a duration above 0'],
    [['account', 'robot', 'ci', '--expires', '0s'], '--expires: "0s" is not accepted'],
    [['account', 'rm'], 'expected: shoal account disable|enable|rm NAME [--key FILE] [--json]\n'],
    [['member', 'rename', 'b'], 'expected: shoal member rename PEER|NAME NEW-NAME ['],
    [['access', 'explian', 'ann', 'x'], '"explian" is not explain'],
    [['authority', 'rot'], '"rot" is not export, import, show, rotate, admin-key, recover or follow'],
    [['authority', 'import', '/nowhere/key'], '/nowhere/key cannot be read: there is no such file or folder'],
    [['authority', 'recover', 'sign', '/nowhere/p'], '/nowhere/p cannot be read: there is no such file'],
    [['authority'], 'expected: shoal authority export'],
    [['completion', 'tcsh'], '"tcsh" is no shell that is known'],
    [['rm', 'team/app:1'], 'nobody is here to answer; give --yes'],
  ])('does not understand %j, and says why', async (args, message) => {
    expect(await run(args)).toBe(2)
    expect(stderr).toMatch(/^shoal: /)
    expect(stderr).toContain(message)
    expect(stdout).toBe('')
  })

  it.each([
    ['add', 'ann', 'hunter2'],
    ['passwd', 'ann', 'hunter2'],
    ['add', 'ann', '--password', 'hunter2'],
    ['add', 'ann', '--password=hunter2'],
    ['robot', 'ci', '--secret', 'hunter2'],
  ])('takes no password as an argument, and repeats none: account %j', async (...args) => {
    expect(await run(['account', ...args])).toBe(2)
    expect(stderr).not.toContain('hunter2')
  })

  it.each([['ls'], ['status'], ['warm', 'team/app:1'], ['peers']])(
    'fails at %s where no data is',
    async (...args) => {
      expect(await run(args)).toBe(1)
      expect(stderr).toContain("is no node's data directory")
      expect(stdout).toBe('')
    },
  )

  it.each([
    [['ls', '--json'], 1, { code: 'NO_DATA', message: expect.stringContaining("no node's data directory") }],
    [
      ['gc', '--json', '--grace=-1s'],
      2,
      { code: 'USAGE', message: expect.stringContaining('--grace: "-1s"') },
    ],
    [
      ['rm', '--json', 'team/app:1'],
      2,
      { code: 'USAGE', message: expect.stringContaining('not with --json; give --yes') },
    ],
    [
      ['inspect', '--json'],
      2,
      { code: 'USAGE', message: expect.stringContaining('expected: shoal inspect') },
    ],
    [
      ['import', '--json', '/nowhere/at/all'],
      1,
      { code: expect.any(String), message: expect.not.stringContaining('\n') },
    ],
  ])('says what went wrong in JSON for %j', async (args, exitCode, error) => {
    expect(await run(args)).toBe(exitCode)
    expect(JSON.parse(stderr)).toEqual({ error })
    expect(stderr).toMatch(/^[^\n]+\n$/)
    expect(stdout).toBe('')
  })

  it('says it in words where --json is not its own', async () => {
    expect(await run(['ls', '--', '--json'])).toBe(1)
    expect(stderr).toMatch(/^shoal: /)
  })

  it('tells its version', async () => {
    expect(await run(['--version'])).toBe(0)
    expect(stdout).toMatch(/^shoal \d+\.\d+\.\d+\n$/)
  })

  it('leaves alone what comes after two dashes', async () => {
    expect(await run(['ls', '--', '--help'])).toBe(1)
    expect(stdout).toBe('')
  })
})
