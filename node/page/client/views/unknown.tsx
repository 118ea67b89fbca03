/** An address that names no view. */
import { Empty } from '../parts/states.tsx'

export function UnknownView() {
  return (
    <>
      <h1>There is no such view</h1>
      <Empty title="The address names none.">
        <p>
          <a href="#/">Begin at the overview</a>, or search for an image above.
        </p>
      </Empty>
    </>
  )
}
