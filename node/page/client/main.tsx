/** The page in the browser. */
import { render } from 'preact'
import { App } from './app.tsx'
import { connect } from './live.ts'

const root = document.getElementById('page')
if (root !== null) {
  connect()
  root.replaceChildren()
  render(<App />, root)
}
