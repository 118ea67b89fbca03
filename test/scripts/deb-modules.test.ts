/** What a Debian package for another architecture can be made of. */
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { expect, it } from 'vitest'
import { modulesLacking, productiveModules } from '../../scripts/deb/modules.ts'
import { openScratchFolder } from '../e2e/scratch-folder.ts'

const checkout = path.join(import.meta.dirname, '../..')

it('has machine code for both architectures in every module that it publishes', () => {
  const modules = productiveModules(checkout)
  expect(modules).toContain('node_modules/classic-level')
  for (const architecture of ['x64', 'arm64'])
    expect(modulesLacking(checkout, modules, architecture)).toEqual([])
})

it('is refused a module that was compiled for this host alone', async () => {
  await using folder = await openScratchFolder()
  for (const file of ['plain/index.js', 'both/prebuilds/linux-arm64/a.node', 'own/build/Release/a.node']) {
    await mkdir(path.dirname(folder.at(file)), { recursive: true })
    await writeFile(folder.at(file), '')
  }
  expect(modulesLacking(folder.path, ['plain', 'both', 'own'], 'arm64')).toEqual(['own'])
  expect(modulesLacking(folder.path, ['both'], 'riscv64')).toEqual(['both'])
})
