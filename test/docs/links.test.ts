/** What the pages point to is there: other pages, their sections, and the tests that hold what they claim. */
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { pages } from './pages.ts'

const checkout = path.join(import.meta.dirname, '../..')

/** A section's name in a link, as GitHub makes it. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replaceAll(' ', '-')
}

function sectionsOf(file: string): string[] {
  const text = readFileSync(path.join(checkout, file), 'utf8').replaceAll(/^```[\s\S]*?^```/gm, '')
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => anchorOf(heading))
}

describe.each(pages)('$file', ({ file, text }) => {
  it('links to what is there, once', () => {
    const dead = [...text.matchAll(/\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]+))?\)/g)].filter(
      ([, target = '', section]) => {
        const linked = target === '' ? file : path.join(path.dirname(file), target)
        if (!existsSync(path.join(checkout, linked))) return true
        if (section === undefined || !linked.endsWith('.md')) return false
        return sectionsOf(linked).filter((each) => each === section).length !== 1
      },
    )
    expect(dead.map(([link]) => link)).toEqual([])
  })

  it('names tests that are there', () => {
    const named = [...text.matchAll(/`(test\/[\w./-]+\.ts)`/g)].map(([, name = '']) => name)
    expect(named.filter((name) => !existsSync(path.join(checkout, name)))).toEqual([])
  })
})
