/** Four groups of tests, one after the other: those that count what goes over the links of a network run alone. */
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

const links = ['cluster-herd', 'cluster-sites', 'mirror-fetch', 'network'].map(
  (name) => `test/netns/${name}.test.ts`,
)

// All of these start daemons, which mostly wait; some build links, which are to be as quick as they say.
const ofDaemons = [
  { name: 'e2e', include: ['test/e2e/**/*.test.ts'], exclude: [], maxWorkers: 3 },
  { name: 'netns', include: ['test/netns/**/*.test.ts'], exclude: links, maxWorkers: 2 },
  { name: 'links', include: links, exclude: [], maxWorkers: 1 },
]

/** Largest first, where none has been seen to run; but this one is small, and would run on alone when all others are over. */
class Sequencer extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    const isLong = ({ moduleId }: TestSpecification) => moduleId.endsWith('/e2e/crash.test.ts')
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))]
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: Sequencer },
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/e2e/**', 'test/netns/**'],
          pool: 'forks',
          // Many wait for clocks and disks: one more than there are cores.
          maxWorkers: 3,
          // Longer than what a test waits for, which says by itself what did not come.
          testTimeout: 40_000,
          hookTimeout: 40_000,
          sequence: { groupOrder: 0 },
        },
      },
      ...ofDaemons.map((group, index) => ({
        extends: true as const,
        test: {
          ...group,
          pool: 'forks' as const,
          testTimeout: 120_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: index + 1 },
        },
      })),
    ],
  },
})
