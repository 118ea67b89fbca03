/** All repositories, with their tags counted and the newest named. */
import { useState } from 'preact/hooks'
import type { RepositoryRow } from '../../answers/images.ts'
import { formatNumber } from '../format.ts'
import { Age } from '../parts/age.tsx'
import { Filter } from '../parts/filter.tsx'
import { LongTable } from '../parts/long-table.tsx'
import { Member } from '../parts/member.tsx'
import { Empty } from '../parts/states.tsx'
import { hrefOf } from '../route.ts'
import { NothingPushed } from './overview.tsx'

export function RepositoriesView() {
  const [typed, setTyped] = useState('')
  return (
    <>
      <h1>Images</h1>
      <Filter label="Only names with" onChange={setTyped} />
      <LongTable<RepositoryRow>
        path={`/api/repositories?q=${encodeURIComponent(typed)}`}
        what={['repository', 'repositories']}
        kind="repositories"
        columns={['Repository', 'Tags', 'Newest', 'Pushed', 'By']}
        keyOf={({ name }) => name}
        empty={typed === '' ? <NothingPushed /> : <Empty title={`No repository is called “${typed}”.`} />}
      >
        {({ name, tags, isMore, newest }) => (
          <>
            <td class="name">
              <a href={hrefOf({ view: 'repository', repository: name })}>{name}</a>
            </td>
            <td class="number">
              {formatNumber(tags)}
              {isMore && '+'}
            </td>
            <td>
              {newest !== undefined && (
                <a href={hrefOf({ view: 'image', repository: name, reference: newest.tag })}>{newest.tag}</a>
              )}
            </td>
            <td>{newest !== undefined && <Age atMs={newest.writtenMs} />}</td>
            <td>{newest?.author !== undefined && <Member peer={newest.author} />}</td>
          </>
        )}
      </LongTable>
    </>
  )
}
