/** Signatures, SBOMs and whatever else refers to an image. */
import type { ImageAnswer, ReferrerFacts } from '../../answers/images.ts'
import { shortDigest } from '../format.ts'
import { hrefOf } from '../route.ts'
import { Age } from './age.tsx'
import { Digest } from './copy.tsx'
import { By } from './member.tsx'
import { StrangerTable } from './stranger-text.tsx'

const attached: Record<string, string> = { sig: 'Signature', att: 'Attestation', sbom: 'SBOM' }

export function Referrers({ image }: { image: ImageAnswer }) {
  const { referrers, repository } = image
  return (
    <section aria-labelledby="referrers">
      <h2 id="referrers">What refers to it</h2>
      {referrers.length === 0 ? (
        <p class="quiet">No signature, SBOM or other artifact refers to this image.</p>
      ) : (
        <ul class="lines">
          {referrers.map((referrer) => (
            <li key={referrer.tag ?? referrer.digest} class="referrer">
              <span>
                <a href={hrefOf({ view: 'image', repository, reference: referrer.tag ?? referrer.digest })}>
                  {kindOf(referrer)}
                </a>{' '}
                <Digest digest={referrer.digest} />
              </span>
              <span class="quiet">
                <Age atMs={referrer.writtenMs} />
                <By author={referrer.author} word="by" />
              </span>
              <StrangerTable
                entries={referrer.annotations}
                caption={`Annotations of ${shortDigest(referrer.digest)}`}
              />
            </li>
          ))}
        </ul>
      )}
    </section>
  )
}

/** The usual types by their usual names; the others as they are. */
function kindOf({ artifactType, mediaType, tag }: ReferrerFacts): string {
  if (tag !== undefined) return `${attached[tag.split('.').at(-1) ?? ''] ?? 'Artifact'} (cosign’s tag)`
  const type = artifactType ?? mediaType
  if (/cosign|sigstore|notary|signature/i.test(type)) return `Signature (${type})`
  if (/spdx|cyclonedx|sbom/i.test(type)) return `SBOM (${type})`
  if (/in-toto|attestation/i.test(type)) return `Attestation (${type})`
  return type
}
