/** An upstream and the registry behind it, new for each test of a block. */
import { afterEach, beforeEach } from 'vitest'
import type { Upstream } from '../../src/upstream/upstream.ts'
import { type FakeUpstream, openFakeUpstream } from './fake-upstream.ts'
import { openUpstream } from './fixture.ts'

export function useUpstream(): { readonly fake: FakeUpstream; readonly upstream: Upstream } {
  let fake: FakeUpstream
  let upstream: Upstream
  let opened: AsyncDisposableStack
  beforeEach(async () => {
    opened = new AsyncDisposableStack()
    fake = opened.use(await openFakeUpstream())
    upstream = opened.use(await openUpstream({ url: fake.url })).upstream
  })
  afterEach(() => opened.disposeAsync())
  return {
    get fake() {
      return fake
    },
    get upstream() {
      return upstream
    },
  }
}
