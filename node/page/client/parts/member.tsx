/** A member's name, with its whole peer id for whoever points at it. */
import { computed } from '@preact/signals'
import { state } from '../live.ts'
import { type NameOf, nameMembers } from '../member-names.ts'

export const nameOf = computed<NameOf>(() => nameMembers(state.value ?? { members: [], lost: [] }))

export function Member({ peer }: { peer: string }) {
  return (
    <span class="member" title={peer}>
      {nameOf.value(peer)}
      {state.value?.self === peer && <span class="tagged">this node</span>}
    </span>
  )
}

/** Nothing where it is not told. */
export function By({ author, word }: { author: string | undefined; word: 'by' | 'on' }) {
  if (author === undefined) return null
  return (
    <>
      {` ${word} `}
      <Member peer={author} />
    </>
  )
}
