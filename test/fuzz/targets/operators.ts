/** What people paste, type and write into files: tokens, settings. */
import { writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { readSettings } from '../../../node/settings/settings.ts'
import { parsePlatform } from '../../../src/oci/oci.ts'
import { encodeToken, parseToken, sealText } from '../../../src/swarm/cluster/token.ts'
import { ascii, type Decoder, latin1, mustBe, refusing, type Target } from '../target.ts'

const prefix = 'shoal1:'
const token = encodeToken({
  secret: new Uint8Array(32).fill(1),
  authority: new Uint8Array(32).fill(2),
  bootstrap: ['/ip4/10.0.0.1/tcp/5001'],
})
const body = Buffer.from(token.slice(prefix.length), 'base64url')
/** The sum behind it. */
const sumBytes = 4

/** Given the body, which no fuzzer would find a sum for, and as text. */
const tokens: Decoder = {
  seeds: [new Uint8Array(body.subarray(0, body.length - sumBytes)), ...ascii(token)],
  check(bytes) {
    for (const text of [sealText(prefix, bytes), latin1(bytes)]) {
      const content = refusing(['TOKEN_INVALID'], () => parseToken(text))
      if (content !== undefined) mustBe(encodeToken(content) === text.trim(), 'a token with two texts')
    }
  },
}

const file = path.join(tmpdir(), `shoal-fuzz-settings-${process.pid}.json`)

const settings: Decoder = {
  seeds: ascii(
    '{"http":"127.0.0.1:5000","upstream":["docker.io"],"min-free":"1GiB","no-mdns":true}',
    '{"upstream":[{"name":"a.example","url":"http://a.example","username":"x","password":"y"}]}',
    '{"gc-interval":"5s","webhook":[{"url":"http://h/"}],"name":"a","log-level":"info"}',
    '{"__proto__":{"http":"x"},"constructor":1}',
  ),
  check(bytes) {
    writeFileSync(file, bytes)
    refusing(['USAGE'], () => readSettings(['--config', file], {}))
  },
}

/** Words of a command line, each ended by a zero byte. */
const flags: Decoder = {
  seeds: ascii(
    '--http\x00127.0.0.1:5000\0--upstream\0docker.io=https://a\0',
    '--data=x\0--gc-grace=5m\0--name\0é',
  ),
  check(bytes) {
    const words = Buffer.from(bytes).toString('utf8').split('\0')
    refusing(['USAGE'], () => readSettings(words, {}))
    parsePlatform(words[0] ?? '')
  },
}

export const operators: Target = { decoders: { tokens, settings, flags } }
