/** The search: answers as one types, worked with the arrow keys, and reached with a slash from anywhere. */
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'
import type { SearchAnswer } from '../../answers/images.ts'
import { ApiError, ask } from '../api.ts'
import { hrefOf } from '../route.ts'

interface Found {
  typed: string
  answer?: SearchAnswer
  error?: string
}

interface Choice {
  href: string
  repository: string
  tag?: string
}

const settleMs = 60

export function Search() {
  const [typed, setTyped] = useState('')
  const [found, setFound] = useState<Found>({ typed: '' })
  const [chosen, setChosen] = useState(0)
  const [isOpen, setOpen] = useState(false)
  const input = useRef<HTMLInputElement>(null)
  useSlash(input)
  useEffect(() => {
    const controller = new AbortController()
    const timer = setTimeout(() => {
      if (typed.trim() !== '') void find(typed, controller.signal, setFound)
    }, settleMs)
    setChosen(0)
    return () => {
      clearTimeout(timer)
      controller.abort()
    }
  }, [typed])

  const choices = choicesOf(found.answer)
  const isShown = isOpen && typed.trim() !== '' && found.typed !== ''
  const leave = () => {
    setOpen(false)
    setTyped('')
  }
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'Escape') leave()
    const choice = choices[chosen]
    if (event.key === 'Enter' && isShown && choice !== undefined) {
      location.hash = choice.href
      leave()
    }
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0
    if (step === 0 || choices.length === 0) return
    event.preventDefault()
    setChosen((chosen + step + choices.length) % choices.length)
  }
  return (
    <search class="search" onFocusOut={(event: FocusEvent) => isLeft(event) && setOpen(false)}>
      <input
        ref={input}
        type="text"
        inputMode="search"
        role="combobox"
        aria-label="Search repositories and tags"
        aria-expanded={isShown}
        aria-controls="found"
        aria-autocomplete="list"
        aria-activedescendant={isShown && choices.length > 0 ? `found-${chosen}` : undefined}
        placeholder="Search images"
        autocomplete="off"
        spellcheck={false}
        maxLength={256}
        value={typed}
        onInput={(event) => {
          setTyped(event.currentTarget.value)
          setOpen(true)
        }}
        onFocus={() => setOpen(true)}
        onKeyDown={onKeyDown}
      />
      <span class="hint" aria-hidden="true">
        /
      </span>
      <div class="found" hidden={!isShown}>
        <div id="found" role="listbox" aria-label="Found">
          {isShown &&
            choices.map((choice, index) => (
              <a
                key={choice.href}
                id={`found-${index}`}
                class="found-item"
                role="option"
                aria-selected={index === chosen}
                href={choice.href}
                tabIndex={-1}
                onClick={leave}
              >
                <span class="found-kind">{choice.tag === undefined ? 'repository' : 'tag'}</span>
                <span class="found-name">
                  {choice.repository}
                  {choice.tag !== undefined && <b>:{choice.tag}</b>}
                </span>
              </a>
            ))}
        </div>
        {isShown && choices.length === 0 && (
          <p class="quiet">{found.error ?? `Nothing here is called “${found.typed}”.`}</p>
        )}
      </div>
      <p class="unseen" role="status">
        {isShown ? `${choices.length} found` : ''}
      </p>
    </search>
  )
}

async function find(typed: string, signal: AbortSignal, tell: (found: Found) => void): Promise<void> {
  try {
    tell({ typed, answer: await ask<SearchAnswer>(`/api/search?q=${encodeURIComponent(typed)}`, { signal }) })
  } catch (error) {
    if (signal.aborted) return
    if (!(error instanceof ApiError)) throw error
    tell({ typed, error: error.message })
  }
}

function choicesOf(answer: SearchAnswer | undefined): Choice[] {
  if (answer === undefined) return []
  return [
    ...answer.repositories
      .slice(0, 8)
      .map((repository) => ({ href: hrefOf({ view: 'repository', repository }), repository })),
    ...answer.tags.slice(0, 12).map(({ repository, tag }) => ({
      href: hrefOf({ view: 'image', repository, reference: tag }),
      repository,
      tag,
    })),
  ]
}

function isLeft(event: FocusEvent): boolean {
  const { currentTarget, relatedTarget } = event
  return !(
    currentTarget instanceof Node &&
    relatedTarget instanceof Node &&
    currentTarget.contains(relatedTarget)
  )
}

/** A slash anywhere but in a field leads to the search. */
function useSlash(input: { current: HTMLInputElement | null }): void {
  // An effect that waits for the paint would lose a slash that is typed at once.
  useLayoutEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const isTyping = event.target instanceof HTMLElement && event.target.matches('input, textarea, select')
      if (event.key !== '/' || isTyping || event.ctrlKey || event.metaKey || event.altKey) return
      event.preventDefault()
      input.current?.focus()
    }
    window.addEventListener('keydown', onKey)
    return () => window.removeEventListener('keydown', onKey)
  }, [])
}
