/** The frame around every view: where one is, the search, and whether the node is heard of. */
import { signal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import type { MeAnswer } from '../answers/access.ts'
import { connect, connection, disconnect, state } from './live.ts'
import { Search } from './parts/search.tsx'
import { hrefOf, parseRoute, type Route, sectionOf } from './route.ts'
import { findMe, me } from './session.ts'
import { AccessView } from './views/access.tsx'
import { AccountView } from './views/account.tsx'
import { AccountsView } from './views/accounts.tsx'
import { BlobView } from './views/blob.tsx'
import { ClusterView } from './views/cluster.tsx'
import { ImageView } from './views/image.tsx'
import { KeepView } from './views/keep.tsx'
import { MembersView } from './views/members.tsx'
import { Overview } from './views/overview.tsx'
import { RepositoriesView } from './views/repositories.tsx'
import { RepositoryView } from './views/repository.tsx'
import { SignInView } from './views/sign-in.tsx'
import { StorageView } from './views/storage.tsx'
import { UnknownView } from './views/unknown.tsx'
import { UpstreamsView } from './views/upstreams.tsx'

const route = signal<Route>(parseRoute(location.hash))
window.addEventListener('hashchange', () => {
  route.value = parseRoute(decodeURI(location.hash))
})

type Section = [Route & { view: string }, string]

const members: Section = [{ view: 'members' }, 'Members']
const sections: Section[] = [
  [{ view: 'overview' }, 'Overview'],
  [{ view: 'repositories' }, 'Images'],
  [{ view: 'cluster' }, 'Cluster'],
  members,
  [{ view: 'storage' }, 'Storage'],
  [{ view: 'keep' }, 'Keep rules'],
  [{ view: 'upstreams' }, 'Upstreams'],
]
const images: Section = [{ view: 'repositories' }, 'Images']
const administration: Section[] = [
  [{ view: 'accounts' }, 'Accounts'],
  [{ view: 'access' }, 'Access'],
]
/** Of the views in the bar. */
const mostBesideSearch = 7
/** How often a node that does not say who this is is asked again. */
const askAgainMs = 2_000

/** What there is to go to for who looks. */
function sectionsOf(who: MeAnswer | undefined): Section[] {
  if (who === undefined) return []
  const { sees, administers, admits, canSignIn, name } = who
  const some = [...(sees === 'some' ? [images] : []), ...(admits ? [members] : [])]
  const seen = sees === 'everything' ? sections : some
  const own: Section = name === undefined ? [{ view: 'sign-in' }, 'Sign in'] : [{ view: 'account' }, name]
  return [...seen, ...(administers ? administration : []), ...(canSignIn ? [own] : [])]
}

export function App() {
  const current = route.value
  const main = useRef<HTMLElement>(null)
  const isFirst = useRef(true)
  const place = hrefOf(current)
  const who = me.value
  const shown = sectionsOf(who)
  const isWatched = who !== undefined && (who.sees !== 'nothing' || who.name !== undefined)
  useEffect(() => {
    if (isWatched) connect(who?.name, current.view === 'blob' ? current.digest : undefined)
    else disconnect()
  }, [place, who])
  useEffect(() => {
    if (who !== undefined) return
    const again = setInterval(() => {
      void findMe().then((isHeard) => {
        connection.value = isHeard ? 'connecting' : 'lost'
      })
    }, askAgainMs)
    return () => clearInterval(again)
  }, [who])
  useEffect(() => {
    // Whoever uses the keyboard or a screen reader goes on in the new view, not in the navigation.
    if (!isFirst.current) main.current?.focus()
    isFirst.current = false
    window.scrollTo(0, 0)
    document.title = titleOf(current)
  }, [place])
  return (
    <>
      <button type="button" class="skip" onClick={() => main.current?.focus()}>
        Skip to the content
      </button>
      <header class="bar">
        <div class={`bar-inner ${shown.length > mostBesideSearch ? 'full' : ''}`}>
          <a class="brand" href="#/" aria-label="Shoal, overview">
            <Mark />
            Shoal
          </a>
          {who?.sees !== 'nothing' && <Search />}
          <nav aria-label="Views">
            <ul>
              {shown.map(([section, title]) => (
                <li key={section.view}>
                  <a
                    href={hrefOf(section)}
                    aria-current={sectionOf(current) === section.view ? 'page' : undefined}
                  >
                    {title}
                  </a>
                </li>
              ))}
            </ul>
          </nav>
        </div>
      </header>
      <Connection />
      <main id="main" class="frame" ref={main} tabIndex={-1}>
        {who === undefined ? (
          <p class="lead quiet">Asking the node…</p>
        ) : (
          <View route={current} who={who} key={`${who.name} ${who.sees} ${place}`} />
        )}
      </main>
      <Foot />
    </>
  )
}

function View({ route: current, who }: { route: Route; who: MeAnswer }) {
  if (who.name === undefined && (who.sees === 'nothing' || current.view === 'sign-in'))
    return <SignInView onDone={() => current.view === 'sign-in' && leaveSignIn()} />
  if (!isFor(who, current)) return who.sees === 'some' ? <RepositoriesView /> : <AccountView />
  switch (current.view) {
    case 'overview':
      return <Overview />
    case 'repositories':
      return <RepositoriesView />
    case 'repository':
      return <RepositoryView repository={current.repository} />
    case 'image':
      return <ImageView repository={current.repository} reference={current.reference} />
    case 'cluster':
      return <ClusterView />
    case 'members':
      return <MembersView />
    case 'blob':
      return <BlobView digest={current.digest} />
    case 'storage':
      return <StorageView />
    case 'keep':
      return <KeepView />
    case 'upstreams':
      return <UpstreamsView />
    case 'accounts':
      return <AccountsView />
    case 'access':
      return <AccessView />
    case 'account':
    case 'sign-in':
      return <AccountView />
    case 'unknown':
      return <UnknownView />
  }
}

/** What is not shown to somebody is not spoken of either: there is another view in its place. */
function isFor({ sees, administers, admits, name }: MeAnswer, { view }: Route): boolean {
  if (view === 'members' && admits) return true
  if (view === 'accounts' || view === 'access') return administers
  if (view === 'account' || view === 'sign-in') return name !== undefined
  if (view === 'unknown' || sees === 'everything') return true
  return sees === 'some' && ['repositories', 'repository', 'image', 'blob'].includes(view)
}

function leaveSignIn(): void {
  location.hash = hrefOf({ view: 'overview' })
}

/** Said once it lasts: a stream that is opened again within moments is nobody's concern. */
function Connection() {
  return (
    <div role="status" class="connection">
      {connection.value === 'lost' && (
        <p class="frame notice bad">
          The node is not heard of. What is shown is from before; the page goes on trying.
        </p>
      )}
    </div>
  )
}

function Foot() {
  const { version, cluster, http } = state.value ?? {}
  return (
    <footer class="foot">
      <p class="frame">
        {version === undefined ? 'Shoal' : `Shoal ${version} · cluster ${cluster} · ${http}`}
      </p>
    </footer>
  )
}

function Mark() {
  return (
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
      <path d="M3 10c5-5 11-5 15-1l4-3v8l-4-3c-4 4-10 4-15-1z" />
      <path class="second" d="M11 19c4-4 9-4 12-1l4-3v8l-4-3c-3 3-8 3-12-1z" />
      <path class="third" d="M4 25c3-3 7-3 9-1l3-2v6l-3-2c-2 2-6 2-9-1z" />
    </svg>
  )
}

function titleOf(current: Route): string {
  if (current.view === 'repository') return `${current.repository} · Shoal`
  if (current.view === 'image') {
    const { repository, reference } = current
    return `${repository}${reference.includes(':') ? '@' : ':'}${reference} · Shoal`
  }
  if (current.view === 'sign-in') return 'Sign in · Shoal'
  const name = [...sections, ...administration].find(([{ view }]) => view === current.view)?.[1]
  return current.view === 'blob'
    ? 'Blob · Shoal'
    : name === undefined || name === 'Overview'
      ? 'Shoal'
      : `${name} · Shoal`
}
