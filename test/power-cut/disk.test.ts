import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { type Choice, everythingKept, everythingLost, RecordedDisk } from './disk.ts'
import { type Call, parseLine, type TimedCall } from './trace.ts'

const root = '/data'

/** Calls one after the other. */
function inOrder(calls: Call[]): TimedCall[] {
  return calls.map((call, index) => {
    return { ...call, beganNs: BigInt(2 * index), endedNs: BigInt(2 * index + 1) }
  })
}

const open = (file: number, path: string): Call => {
  return { name: 'open', file, path, creates: true, truncates: false, appends: false }
}
const write = (file: number, text: string): Call => ({ name: 'write', file, bytes: Buffer.from(text) })

const after = (calls: Call[], choice: Choice) => afterTimed(inOrder(calls), choice)

async function afterTimed(calls: TimedCall[], choice: Choice): Promise<Record<string, string>> {
  const folder = await mkdtemp(join(tmpdir(), 'shoal-disk-'))
  try {
    await new RecordedDisk(root, calls).rebuild(folder, calls.length, choice)
    const names = await readdir(folder, { recursive: true, withFileTypes: true })
    const files = names
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name))
    const contents = files.map(async (path) => [path.slice(folder.length + 1), await readFile(path, 'utf8')])
    return Object.fromEntries(await Promise.all(contents))
  } finally {
    await rm(folder, { recursive: true })
  }
}

it('loses what was not synced', async () => {
  const calls = [open(3, '/data/a'), write(3, 'one')]
  expect(await after(calls, everythingLost)).toEqual({})
  expect(await after(calls, { ...everythingLost, names: 1 })).toEqual({ a: '' })
  expect(await after(calls, everythingKept)).toEqual({ a: 'one' })
})

it('keeps the name and the bytes that a sync of the file covers', async () => {
  const calls: Call[] = [open(3, '/data/a'), write(3, 'one'), { name: 'sync', file: 3 }, write(3, ' two')]
  expect(await after(calls, everythingLost)).toEqual({ a: 'one' })
  expect(await after(calls, { names: 0, keeps: () => 2 })).toEqual({ a: 'one t' })
})

it('loses a new name until its folder is synced', async () => {
  const calls: Call[] = [
    open(3, '/data/a'),
    write(3, 'one'),
    { name: 'sync', file: 3 },
    { name: 'rename', from: '/data/a', to: '/data/b' },
  ]
  expect(await after(calls, everythingLost)).toEqual({ a: 'one' })
  const synced: Call[] = [...calls, open(4, '/data'), { name: 'sync', file: 4 }]
  expect(await after(synced, everythingLost)).toEqual({ b: 'one' })
})

it('keeps changes of names in their order', async () => {
  const calls: Call[] = [
    { name: 'mkdir', path: '/data/x' },
    open(3, '/data/old'),
    { name: 'unlink', path: '/data/old' },
    open(4, '/data/x/new'),
    { name: 'sync', file: 4 },
  ]
  expect(await after(calls, everythingLost)).toEqual({ 'x/new': '' })
})

it('lets a later write stand over one that was lost', async () => {
  const calls = [open(3, '/data/a'), write(3, 'one'), write(3, 'two')]
  let writes = 0
  const choice: Choice = { names: 1, keeps: (length) => (writes++ === 0 ? 0 : length) }
  expect(await after(calls, choice)).toEqual({ a: '\0\0\0two' })
})

it.each([
  [
    '10.000000001 write(21<\\x2f\\x61>, "\\x68\\x69", 2) = 2 <0.000000002>',
    { name: 'write', file: 21, bytes: Buffer.from('hi'), beganNs: 10_000_000_001n, endedNs: 10_000_000_003n },
  ],
  [
    '1.000000000 writev(4<\\x2f\\x61>, [{iov_base="\\x68", iov_len=1}, {iov_base="\\x69\\x69", iov_len=2}], 2) = 2 <0.000000001>',
    { name: 'write', file: 4, bytes: Buffer.from('hi') },
  ],
  ['1.000000000 pwrite64(4<\\x2f\\x61>, "\\x68", 1, 7) = 1 <0.000000001>', { name: 'write', offset: 7 }],
  [
    '1.000000000 openat(AT_FDCWD<\\x2f>, "\\x2f\\x61", O_WRONLY|O_CREAT|O_TRUNC, 0600) = 5<\\x2f\\x61> <0.000000001>',
    { name: 'open', file: 5, path: '/a', creates: true, truncates: true, appends: false },
  ],
  [
    '1.000000000 rename("\\x2f\\x61", "\\x2f\\x62") = 0 <0.000000001>',
    { name: 'rename', from: '/a', to: '/b' },
  ],
  ['1.000000000 mkdir("\\x2f\\x61", 0700) = -1 EEXIST (File exists) <0.000000001>', undefined],
  ['1.000000000 +++ exited with 0 +++', undefined],
])('reads %s', (line, call) => {
  if (call === undefined) expect(parseLine(line)).toBeUndefined()
  else expect(parseLine(line)).toMatchObject(call)
})

it('has a sync cover what was over before it began, though another thread is still printing', async () => {
  const [made, renamed, opened, synced] = inOrder([
    open(3, '/data/a'),
    { name: 'rename', from: '/data/a', to: '/data/b' },
    open(4, '/data'),
    { name: 'sync', file: 4 },
  ])
  if (!made || !renamed || !opened || !synced) throw new Error('four calls are four')
  const printed: TimedCall = { ...write(1, 'done'), beganNs: 2n, endedNs: 100n }
  expect(await afterTimed([made, printed, renamed, opened, synced], everythingLost)).toEqual({ b: '' })
})
