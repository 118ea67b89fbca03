/** What clients send: paths, headers, manifests. */

import { readImageConfig } from '../../../node/operations/image-config.ts'
import { formatImageName, parseImageName } from '../../../node/operations/image-name.ts'
import { readPlatforms } from '../../../node/operations/platforms.ts'
import { hostOf, parseRoute } from '../../../src/http/http.ts'
import { matches } from '../../../src/http/manifests.ts'
import {
  formatPlatform,
  manifestFacts,
  parseContentRange,
  parseJson,
  parseManifest,
  parseMediaType,
  parsePlatform,
  parseRanges,
  parseReference,
  parseRepository,
} from '../../../src/oci/oci.ts'
import { signRecord } from '../../../src/records/record.ts'
import { identityFromSeed } from '../../../src/wire/wire.ts'
import { ascii, type Decoder, latin1, mustBe, refusing, type Target } from '../target.ts'

const hexDigits = 'ab'.repeat(32)
const digest = `sha256:${hexDigits}`
const names = ['NAME_INVALID', 'TAG_INVALID', 'DIGEST_INVALID']
const identity = identityFromSeed(new Uint8Array(32).fill(7))

/** Text of the input, in two parts where there is a zero byte. */
function parts(bytes: Uint8Array): [string, string] {
  const text = latin1(bytes)
  const at = text.indexOf('\0')
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)]
}

const routes: Decoder = {
  seeds: ascii(
    '/v2/',
    '/v2/team/app/manifests/1',
    `/v2/team/app/blobs/${digest}`,
    '/v2/a/b/blobs/uploads/0123',
    '/v2/a%2fb/tags/list',
    `/v2/tags/list/referrers/sha256%3A${hexDigits}`,
  ),
  check(bytes) {
    const path = latin1(bytes)
    const route = refusing(names, () => parseRoute(path))
    if (route === undefined || !('repository' in route)) return
    mustBe(parseRepository(route.repository) === route.repository, 'a repository that is none')
    mustBe(path.startsWith('/v2/'), 'a repository outside of /v2/')
    if ('reference' in route) {
      const text = 'tag' in route.reference ? route.reference.tag : route.reference.digest
      mustBe(
        JSON.stringify(parseReference(text)) === JSON.stringify(route.reference),
        'a reference that is another',
      )
    }
  },
}

const ranges: Decoder = {
  seeds: ascii(
    '100\0bytes=0-9',
    '0\0bytes=-5',
    '7\0bytes=3-',
    '1000\0bytes=999-100000000000000',
    '99\0bytes=5-9, 0-6,-3',
  ),
  check(bytes) {
    const [sizeText, header] = parts(bytes)
    const size = Math.abs(Math.trunc(Number(sizeText))) || 0
    if (!Number.isSafeInteger(size)) return
    const asked = refusing(['RANGE_INVALID'], () => parseRanges(header, size)) ?? []
    for (const { start, end } of asked)
      mustBe(0 <= start && start < end && end <= size, 'a range that is not inside')
    const sum = asked.reduce((bytes, { start, end }) => bytes + end - start, 0)
    mustBe(sum <= size, 'ranges that overlap')
    const chunk = refusing(['RANGE_INVALID'], () => parseContentRange(header))
    if (chunk !== undefined)
      mustBe(
        Number.isSafeInteger(chunk.end) && 0 <= chunk.start && chunk.start < chunk.end,
        'a chunk of nothing',
      )
  },
}

const references: Decoder = {
  seeds: ascii(
    'team/app:1',
    `team/app@${digest}`,
    'localhost:5000/a/b:v1',
    '[::1]:5000/a',
    `https://h:1/a:b@${digest}`,
  ),
  check(bytes) {
    const name = refusing(names, () => parseImageName(latin1(bytes)))
    if (name?.reference === undefined) return
    const text = formatImageName(name.repository, name.reference)
    mustBe(
      JSON.stringify(parseImageName(text)) === JSON.stringify(name),
      'a name that is another when it is read again',
    )
  },
}

const headers: Decoder = {
  seeds: ascii(
    'localhost:5000',
    '[::1]:80',
    '"sha256:ab"\0W/"a", "sha256:ab"',
    '*',
    'linux/arm64/v8',
    'a/b+json; c=d',
  ),
  check(bytes) {
    const [text, other] = parts(bytes)
    const host = hostOf(text)
    if (host !== undefined) mustBe(host === host.toLowerCase(), 'a host in capitals')
    matches(other, text)
    const type = refusing(['MANIFEST_INVALID'], () => parseMediaType(text))
    if (type !== undefined) mustBe(parseMediaType(type) === type, 'a media type that is none')
    const platform = parsePlatform(text)
    if (platform !== undefined)
      mustBe(
        JSON.stringify(parsePlatform(formatPlatform(platform))) === JSON.stringify(platform),
        'another platform',
      )
  },
}

const descriptor = { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest, size: 5 }
const image = {
  schemaVersion: 2,
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  config: descriptor,
  layers: [descriptor],
  subject: descriptor,
  annotations: { a: 'b' },
}
const index = {
  schemaVersion: 2,
  mediaType: 'application/vnd.oci.image.index.v1+json',
  manifests: [{ ...descriptor, platform: { os: 'linux', architecture: 'arm64', variant: 'v8' } }],
}

/** What is accepted can be published, unless it is too large for a record. */
const manifests: Decoder = {
  seeds: ascii(
    JSON.stringify(image),
    JSON.stringify(index),
    `${JSON.stringify(index)}\0application/vnd.oci.image.index.v1+json`,
    '{"schemaVersion":2,"__proto__":{"a":1},"layers":[]}',
  ),
  check(bytes) {
    const end = bytes.indexOf(0)
    const body = end < 0 ? bytes : bytes.subarray(0, end)
    const type = end < 0 ? undefined : latin1(bytes.subarray(end + 1))
    const manifest = refusing(
      ['MANIFEST_INVALID', 'DIGEST_INVALID', 'MANIFEST_TOO_LARGE', 'UNSUPPORTED'],
      () => parseManifest(body, type),
    )
    if (manifest === undefined) return
    for (const listed of [...manifest.blobs, ...manifest.manifests])
      mustBe(Number.isSafeInteger(listed.size) && listed.size >= 0, 'a size that is none')
    const value = manifestFacts(manifest, body.length)
    const key = `team/app@${digest}`
    refusing(['RECORD_TOO_LARGE'], () => signRecord({ kind: 'manifest', key, time: [1, 0], value }, identity))
    if (manifest.kind === 'index') readPlatforms(body, manifest.manifests)
  },
}

const json: Decoder = {
  seeds: ascii('{"a":[1,2,{"b":null}],"\\u0061b":"c"}', '[[[[1]]]]', '{"a":1,"\\u0061":2}', '"\\ud800"'),
  check(bytes) {
    const value = refusing(['MANIFEST_INVALID'], () => parseJson(bytes))
    if (value === undefined) return
    const text = JSON.stringify(value)
    mustBe(
      JSON.stringify(parseJson(new Uint8Array(Buffer.from(text)))) === text,
      'another document when it is read again',
    )
    readImageConfig(bytes, 2)
  },
}

export const clients: Target = { decoders: { routes, ranges, references, headers, manifests, json } }
