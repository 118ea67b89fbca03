import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isLeftover, replaceBuild, replacePage } from '../../scripts/program/replace.ts'

const dayMs = 24 * 60 * 60 * 1000

describe('a build that takes the place of another', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'shoal-replace-'))
    mkdirSync(join(folder, 'output'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  function build(day: number, chunk: string): string[] {
    const made = join(folder, `made-${day}`)
    mkdirSync(made)
    for (const name of ['main.js', 'same.js', chunk])
      writeFileSync(join(made, name), name === 'same.js' ? '' : chunk)
    replaceBuild(made, join(folder, 'output'), new Date(day * dayMs))
    return readdirSync(join(folder, 'output')).filter((name) => name.endsWith('.js'))
  }

  it('leaves a node that runs from it what that has yet to load, for a week from then on', () => {
    build(100, 'page-A.js')
    expect(build(200, 'page-B.js')).toEqual(['main.js', 'page-A.js', 'page-B.js', 'same.js'])
    expect(build(203, 'page-C.js')).toContain('page-A.js')
    expect(build(208, 'page-D.js')).toEqual(['main.js', 'page-B.js', 'page-C.js', 'page-D.js', 'same.js'])
  })

  it('names what is left over, which no package holds', () => {
    const output = join(folder, 'output')
    build(100, 'page-A.js')
    build(101, 'page-B.js')
    expect(readFileSync(join(output, '.npmignore'), 'utf8')).toBe('page-A.js\n')
    expect(readdirSync(output).filter((name) => !isLeftover(output, name))).toEqual([
      'main.js',
      'page-B.js',
      'same.js',
    ])
    build(109, 'page-A.js')
    expect(readFileSync(join(output, '.npmignore'), 'utf8')).toBe('page-B.js\n')
  })

  it('of the page takes nothing away that stays, be it for a moment, and leaves nothing over', () => {
    const output = join(folder, 'output')
    const buildPage = (day: number, asset: string): void => {
      const made = join(folder, `page-${day}`)
      mkdirSync(join(made, 'assets'), { recursive: true })
      for (const name of ['index.html', `assets/${asset}`, 'assets/same.css'])
        writeFileSync(join(made, name), name === 'index.html' ? asset : '')
      replacePage(made, output, new Date(day * dayMs))
    }
    const filesOf = () => readdirSync(output, { recursive: true, encoding: 'utf8' }).toSorted()
    const identities = () => filesOf().map((name) => statSync(join(output, name)).ino)
    buildPage(100, 'A.js')
    const before = identities()
    buildPage(101, 'A.js')
    expect(identities()).toEqual(before)
    expect(statSync(join(output, 'index.html')).mtimeMs).toBe(101 * dayMs)
    buildPage(102, 'B.js')
    expect(filesOf()).toEqual(['assets', 'assets/B.js', 'assets/same.css', 'index.html'])
    expect(readFileSync(join(output, 'index.html'), 'utf8')).toBe('B.js')
    expect(before).toContain(statSync(join(output, 'assets/same.css')).ino)
  })
})
