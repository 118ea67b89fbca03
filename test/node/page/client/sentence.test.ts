import { expect, it } from 'vitest'
import { sentence } from '../../../../node/page/client/sentence.ts'

it.each([
  ['the tag is immutable', 'The tag is immutable.'],
  ['shop has no such tag', 'shop has no such tag.'],
  ['team/app has sha256:1, but no member holds it', 'team/app has sha256:1, but no member holds it.'],
  ['docker.io cannot be reached', 'docker.io cannot be reached.'],
  ['12D3KooW is banned', '12D3KooW is banned.'],
])('makes a sentence of %j, and no capital of a name', (message, said) => {
  expect(sentence(message, ['', 7, 'shop'])).toBe(said)
})
