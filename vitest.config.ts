/** Three groups of tests, one after the other: what runs alone is given both cores. */
import { defineConfig } from 'vitest/config'

// Tests of these folders start daemons or build networks: one file at a time.
const serial = ['e2e', 'netns']

export default defineConfig({
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: serial.map((folder) => `test/${folder}/**`),
          pool: 'forks',
          maxWorkers: 2,
          testTimeout: 20_000,
          hookTimeout: 20_000,
          sequence: { groupOrder: 0 },
        },
      },
      ...serial.map((folder, index) => ({
        extends: true as const,
        test: {
          name: folder,
          include: [`test/${folder}/**/*.test.ts`],
          pool: 'forks' as const,
          maxWorkers: 1,
          testTimeout: 120_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: index + 1 },
        },
      })),
    ],
  },
})
