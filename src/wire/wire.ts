/** What crosses the network: strict CBOR, length-prefixed frames, channels, signed envelopes, and certificates. */
export { type CertificateContent, certificatePem, writeCertificate } from './certificate.ts'
export type { BatchChannel, Channel } from './channel.ts'
export { type ChannelPair, channelPair } from './channel-pair.ts'
export { type Codec, codec } from './codec.ts'
export {
  createVerifier,
  type Envelope,
  envelopeOverhead,
  seal,
  unseal,
  type Verifier,
} from './envelope.ts'
export { BadSignatureError, ChannelBrokenError, MalformedError, TooLargeError } from './errors.ts'
export { digestText, peerIdText, repositoryText, tagText } from './fields.ts'
export {
  FrameReader,
  frameBehind,
  frameHeader,
  frameHeaderBytes,
  frameIn,
  frameMemory,
  frameRoomBytes,
} from './frame.ts'
export { type Identity, identityFromSeed } from './identity.ts'
export { parsePeerId, peerIdOf } from './peer-id.ts'
export {
  bytes,
  dictionary,
  type Infer,
  list,
  literal,
  nullable,
  type Optional,
  optional,
  pair,
  type Schema,
  struct,
  text,
  uint,
  variant,
} from './schema.ts'
