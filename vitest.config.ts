/** Three groups of tests, one after the other: what builds networks runs alone. */
import { defineConfig } from 'vitest/config'

// Tests of these folders start daemons, which mostly wait, or build networks, whose links are to be as quick as they say.
const files = { e2e: 3, netns: 1 }

export default defineConfig({
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: Object.keys(files).map((folder) => `test/${folder}/**`),
          pool: 'forks',
          // Many wait for clocks and disks: one more than there are cores.
          maxWorkers: 3,
          // Longer than what a test waits for, which says by itself what did not come.
          testTimeout: 40_000,
          hookTimeout: 40_000,
          sequence: { groupOrder: 0 },
        },
      },
      ...Object.entries(files).map(([folder, maxWorkers], index) => ({
        extends: true as const,
        test: {
          name: folder,
          include: [`test/${folder}/**/*.test.ts`],
          pool: 'forks' as const,
          maxWorkers,
          testTimeout: 120_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: index + 1 },
        },
      })),
    ],
  },
})
