/** The page in the browser. */
import { render } from 'preact'
import { App } from './app.tsx'
import { findMe, followSession } from './session.ts'

const root = document.getElementById('page')
if (root !== null) {
  followSession()
  void findMe()
  root.replaceChildren()
  render(<App />, root)
}
