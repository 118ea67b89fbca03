/** One repository: its tags, the newest first or by name. */
import { useState } from 'preact/hooks'
import type { TagRow, TagsAnswer } from '../../answers/images.ts'
import { formatBytes, formatList } from '../format.ts'
import { Age } from '../parts/age.tsx'
import { Digest } from '../parts/copy.tsx'
import { Filter } from '../parts/filter.tsx'
import { LongTable } from '../parts/long-table.tsx'
import { Member } from '../parts/member.tsx'
import { Empty } from '../parts/states.tsx'
import { maxChosen, TagsRemoval } from '../parts/tags-removal.tsx'
import { hrefOf } from '../route.ts'
import { useAnswer } from '../use-answer.ts'

const orders = { newest: 'Newest first', name: 'By name' } as const

export function RepositoryView({ repository }: { repository: string }) {
  const [typed, setTyped] = useState('')
  const [order, setOrder] = useState<keyof typeof orders>('newest')
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set())
  const query = new URLSearchParams({ repository, order, q: typed })
  const about = new URLSearchParams({ repository, limit: '1' })
  const { answer } = useAnswer<TagsAnswer>(`/api/tags?${about}`, { follow: false })
  const mayDelete = answer !== undefined && answer.undeletable === undefined
  const choose = (tag: string, isOn: boolean) => {
    const next = new Set(chosen)
    if (isOn && next.size < maxChosen) next.add(tag)
    if (!isOn) next.delete(tag)
    setChosen(next)
  }
  return (
    <>
      <p class="trail">
        <a href={hrefOf({ view: 'repositories' })}>Images</a>
      </p>
      <h1>{repository}</h1>
      <div class="tools">
        <Filter label="Only tags with" onChange={setTyped} />
        <fieldset class="choice">
          <legend>Order</legend>
          {(['newest', 'name'] as const).map((value) => (
            <label key={value}>
              <input
                type="radio"
                name="order"
                value={value}
                checked={order === value}
                onChange={() => setOrder(value)}
              />
              {orders[value]}
            </label>
          ))}
        </fieldset>
      </div>
      {chosen.size > 0 && <TagsRemoval repository={repository} chosen={chosen} onLeft={setChosen} />}
      <LongTable<TagRow>
        path={`/api/tags?${query}`}
        what={['tag', 'tags']}
        kind={mayDelete ? 'tags choosable' : 'tags'}
        columns={['Tag', 'Size', 'Platforms', 'Pushed', 'By', 'Digest', ...(mayDelete ? ['Choose'] : [])]}
        keyOf={({ tag }) => tag}
        empty={
          typed === '' ? (
            <Empty title="No tag points into this repository." />
          ) : (
            <Empty title={`No tag holds “${typed}”.`} />
          )
        }
      >
        {({ tag, bytes, platforms, writtenMs, author, digest }) => (
          <>
            <td class="name">
              <a href={hrefOf({ view: 'image', repository, reference: tag })}>{tag}</a>
            </td>
            <td class="number">
              {bytes === undefined ? (
                <span class="quiet" title="The image is not on this node, which does not know its size">
                  not here
                </span>
              ) : (
                formatBytes(bytes)
              )}
            </td>
            <td title={platforms.join(', ')}>{formatList(platforms, 2)}</td>
            <td>
              <Age atMs={writtenMs} />
            </td>
            <td>{author !== undefined && <Member peer={author} />}</td>
            <td>
              <Digest digest={digest} />
            </td>
            {mayDelete && (
              <td data-what="Choose">
                <input
                  type="checkbox"
                  aria-label={`Choose ${tag}`}
                  checked={chosen.has(tag)}
                  onChange={({ currentTarget }) => {
                    choose(tag, currentTarget.checked)
                    currentTarget.checked = currentTarget.checked && chosen.size < maxChosen
                  }}
                />
              </td>
            )}
          </>
        )}
      </LongTable>
    </>
  )
}
