/** What people paste, type and write into files: tokens, settings, and what administrators hand to each other. */
import { writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { readProposal, signaturesOf, signProposal } from '../../../node/authority-proposal.ts'
import { readSettings } from '../../../node/settings/settings.ts'
import { parsePlatform } from '../../../src/oci/oci.ts'
import { encodeToken, invitationSecret, parseToken, sealText } from '../../../src/swarm/cluster/token.ts'
import { identityFromSeed } from '../../../src/wire/wire.ts'
import { ascii, type Decoder, latin1, mustBe, refusing, type Target } from '../target.ts'

const prefix = 'shoal1:'
const identity = identityFromSeed(new Uint8Array(32).fill(3))
const content = {
  secret: new Uint8Array(32).fill(1),
  authority: new Uint8Array(32).fill(2),
  bootstrap: ['/ip4/10.0.0.1/tcp/5001'],
}
const secret = invitationSecret(identity.publicKey)
const given = [
  encodeToken({ ...content, generation: 3 }),
  encodeToken({ ...content, secret, invitation: new Uint8Array(32).fill(3) }),
]
const bodyOf = (token: string): Buffer => Buffer.from(token.slice(prefix.length), 'base64url')
/** The sum behind it. */
const sumBytes = 4

/** Given the body, which no fuzzer would find a sum for, and as text. */
const tokens: Decoder = {
  seeds: [...given.map((token) => new Uint8Array(bodyOf(token).subarray(0, -sumBytes))), ...ascii(...given)],
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

const proposal = { from: identity.peerId, to: identity.peerId, atMs: 5, signatures: {} }

/** To replace the authority, as a file that goes from one administrator to the next. */
const proposals: Decoder = {
  seeds: ascii(
    JSON.stringify(signProposal(proposal, identity)),
    '{"from":"","to":"","atMs":1,"signatures":{"__proto__":"","a":1}}',
  ),
  check(bytes) {
    const read = refusing(['PROPOSAL'], () => readProposal(Buffer.from(bytes).toString('utf8')))
    if (read === undefined) return
    const signed = signProposal(read, identity)
    mustBe(signaturesOf(signed).length === Object.keys(signed.signatures).length, 'a signature that is lost')
    refusing(['PROPOSAL'], () => readProposal(JSON.stringify(signed)))
  },
}

export const operators: Target = { decoders: { tokens, settings, flags, proposals } }
