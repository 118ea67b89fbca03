/** What a node takes for its machine, from trees as control groups of both versions look. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { readMachineLimits } from '../../node/machine-limits.ts'

const mib = 2 ** 20
const machine = { processors: 8, memoryBytes: 16_384 * mib }
const none = '9223372036854771712'
const v2Mount = '30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate'
const v1Mounts = [
  '31 23 0:27 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755',
  '32 31 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct',
  '33 31 0:29 / /sys/fs/cgroup/memory rw shared:10 master:3 - cgroup cgroup rw,memory',
].join('\n')

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'shoal-limits-'))
})
afterEach(() => rmSync(root, { recursive: true }))

function limitsIn(files: Record<string, string>): { processors: number; memoryBytes: number } {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true })
    writeFileSync(join(root, name), `${text}\n`)
  }
  return readMachineLimits({ root, machine })
}

it.each([
  [
    'the group of a service, of version 2',
    {
      'proc/self/cgroup': '0::/system.slice/shoal.service',
      'proc/self/mountinfo': v2Mount,
      'sys/fs/cgroup/system.slice/shoal.service/memory.max': String(256 * mib),
      'sys/fs/cgroup/system.slice/shoal.service/cpu.max': '50000 100000',
    },
    { processors: 0.5, memoryBytes: 256 * mib },
  ],
  [
    'a group around it, and the memory from which on it is held up',
    {
      'proc/self/cgroup': '0::/a/b',
      'proc/self/mountinfo': v2Mount,
      'sys/fs/cgroup/a/memory.max': String(512 * mib),
      'sys/fs/cgroup/a/cpu.max': '150000 100000',
      'sys/fs/cgroup/a/b/memory.max': 'max',
      'sys/fs/cgroup/a/b/memory.high': String(300 * mib),
      'sys/fs/cgroup/a/b/cpu.max': 'max 100000',
    },
    { processors: 1.5, memoryBytes: 300 * mib },
  ],
  [
    'a container that sees its own group as the root, of version 2',
    {
      'proc/self/cgroup': '0::/',
      'proc/self/mountinfo': '30 23 0:26 /../../docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw',
      'sys/fs/cgroup/memory.max': String(256 * mib),
      'sys/fs/cgroup/cpu.max': '200000 100000',
    },
    { processors: 2, memoryBytes: 256 * mib },
  ],
  [
    'a container whose own groups are mounted, of version 1',
    {
      'proc/self/cgroup': '5:memory:/docker/abc\n4:cpuacct,cpu:/docker/abc\n1:name=systemd:/docker/abc\n0::/',
      'proc/self/mountinfo': v1Mounts.replaceAll(' / /sys/fs/cgroup/', ' /docker/abc /sys/fs/cgroup/'),
      'sys/fs/cgroup/memory/memory.limit_in_bytes': String(256 * mib),
      'sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us': '25000',
      'sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us': '50000',
    },
    { processors: 0.5, memoryBytes: 256 * mib },
  ],
  [
    'groups of version 1 beside an empty version 2, each on a mount of its own',
    {
      'proc/self/cgroup': '4:memory:/small/x\n1:cpu:/half\n0::/',
      'proc/self/mountinfo': [
        '33 31 0:29 / /sys/fs/cgroup/with\\040space rw - cgroup cgroup rw,memory',
        '34 31 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu',
        '35 31 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw',
      ].join('\n'),
      'sys/fs/cgroup/with space/small/memory.limit_in_bytes': String(1024 * mib),
      'sys/fs/cgroup/with space/small/x/memory.limit_in_bytes': none,
      'sys/fs/cgroup/cpu/half/cpu.cfs_quota_us': '50000',
      'sys/fs/cgroup/cpu/half/cpu.cfs_period_us': '100000',
    },
    { processors: 0.5, memoryBytes: 1024 * mib },
  ],
])('follows %s', (_, files, expected) => {
  expect(limitsIn(files)).toEqual(expected)
})

it.each([
  ['no groups at all', {}],
  [
    'groups without limits',
    {
      'proc/self/cgroup': '4:memory:/x\n1:cpu,cpuacct:/x',
      'proc/self/mountinfo': v1Mounts,
      'sys/fs/cgroup/memory/x/memory.limit_in_bytes': none,
      'sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us': '-1',
      'sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us': '100000',
    },
  ],
  ['groups that are mounted nowhere', { 'proc/self/cgroup': '0::/x', 'proc/self/mountinfo': '' }],
])('has all of the machine with %s', (_, files) => {
  expect(limitsIn(files)).toEqual(machine)
})

it('takes no limit from what it does not understand', () => {
  const line = fc.oneof(
    fc.constantFrom('0::/../x', '4:memory:', '1:cpu:/a', '0::/a', v2Mount, ...v1Mounts.split('\n')),
    fc.string({ maxLength: 30 }),
  )
  const number = fc.oneof(
    fc.string({ maxLength: 12 }),
    fc.constantFrom('max', '-1', '0', '0 0', '1e9', '5 0', ''),
  )
  fc.assert(
    fc.property(fc.array(line), fc.array(line), number, number, (groups, mounts, memory, quota) => {
      const { processors, memoryBytes } = limitsIn({
        'proc/self/cgroup': groups.join('\n'),
        'proc/self/mountinfo': mounts.join('\n'),
        'sys/fs/cgroup/a/memory.max': memory,
        'sys/fs/cgroup/a/cpu.max': quota,
        'sys/fs/cgroup/memory/memory.limit_in_bytes': memory,
        'sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us': quota,
        'sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us': quota,
      })
      expect(processors).toBeGreaterThan(0)
      expect(memoryBytes).toBeGreaterThan(0)
      expect(processors).toBeLessThanOrEqual(machine.processors)
      expect(memoryBytes).toBeLessThanOrEqual(machine.memoryBytes)
    }),
    { numRuns: 40 },
  )
})
