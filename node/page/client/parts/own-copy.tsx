/** This node's copy of an image: brought whole as `shoal warm` does, and freed as `shoal evict` does. */
import { useState } from 'preact/hooks'
import type { EvictedAnswer, ImageAnswer, WarmedAnswer } from '../../answers/images.ts'
import { change } from '../api.ts'
import { formatBytes, formatCount, formatList } from '../format.ts'
import { lackingHere } from '../presence.ts'
import { evictedInWords } from '../words.ts'
import { Confirm } from './confirm.tsx'
import { Form, Tick } from './fields.tsx'
import { nameOf } from './member.tsx'
import { Panel } from './panel.tsx'

interface OwnCopyProps {
  image: ImageAnswer
  reference: string
  /** Something of it came or went. */
  onChanged(): void
}

export function OwnCopy({ image, reference, onChanged }: OwnCopyProps) {
  const [open, setOpen] = useState<'warm' | 'evict'>()
  const [warmed, setWarmed] = useState<WarmedAnswer>()
  const [evicted, setEvicted] = useState<EvictedAnswer>()
  const { repository, isEvictable, isWarmable } = image
  const lacking = lackingHere(image)
  if (!isWarmable && !isEvictable) return null
  const close = () => setOpen(undefined)
  return (
    <section aria-labelledby="own-copy">
      <h2 id="own-copy">This node’s copy</h2>
      <p>{lackingInWords(lacking)}</p>
      {warmed !== undefined && <Warmed warmed={warmed} />}
      {evicted !== undefined && <Evicted evicted={evicted} />}
      <div class="tools">
        {isWarmable && lacking?.parts !== 0 && (
          <button type="button" onClick={() => setOpen('warm')}>
            Bring it to this node…
          </button>
        )}
        {isEvictable && (
          <button type="button" class="grave" onClick={() => setOpen('evict')}>
            Free this node’s copy…
          </button>
        )}
      </div>
      {open === 'warm' && (
        <Warming
          image={image}
          reference={reference}
          onDone={(done) => {
            setWarmed(done)
            setEvicted(undefined)
            close()
            onChanged()
          }}
          onClose={close}
        />
      )}
      {open === 'evict' && (
        <Confirm
          title="Free this node’s copy?"
          action="Free it"
          onConfirm={async () => {
            setEvicted(await change<EvictedAnswer>('/api/evict', { repository, reference }))
            setWarmed(undefined)
            onChanged()
          }}
          onClose={close}
        >
          <p>
            What other images here need stays. Its name and other members’ copies stay, and a pull here brings
            it again. It is refused where this is the only copy, and where a keep rule holds it.
          </p>
        </Confirm>
      )}
    </section>
  )
}

function lackingInWords(lacking: ReturnType<typeof lackingHere>): string {
  if (lacking === undefined)
    return 'Some of its manifests are nowhere to be had, so nobody can tell what is lacking.'
  const { parts, bytes } = lacking
  if (parts === 0) return 'All of it is on this node.'
  return `${formatCount(parts, 'part')} of it, ${formatBytes(bytes)}, ${parts === 1 ? 'is' : 'are'} not on this node.`
}

interface WarmingProps {
  image: ImageAnswer
  reference: string
  onDone(warmed: WarmedAnswer): void
  onClose(): void
}

function Warming({ image: { repository, platforms }, reference, onDone, onClose }: WarmingProps) {
  const named = [...new Set(platforms.flatMap(({ platform }) => (platform === undefined ? [] : [platform])))]
  const [chosen, setChosen] = useState<string[]>(named)
  const isSome = named.length > 1 && chosen.length < named.length
  return (
    <Panel title="Bring it to this node" onClose={onClose}>
      <Form
        action="Bring it"
        label="Bring it to this node"
        busy="It comes. It stops when this page is closed; what has come stays."
        onSend={async () => {
          const body = { repository, reference, platforms: isSome ? chosen : [] }
          onDone(await change<WarmedAnswer>('/api/warm', body))
        }}
      >
        <p>
          With all it consists of and what refers to it, so that the next pull here finds it. From other
          members, or its upstream where none has it.
        </p>
        {named.length > 1 && (
          <fieldset class="choice">
            <legend>Platforms</legend>
            {named.map((platform) => (
              <Tick
                key={platform}
                label={platform}
                name="platform"
                isOn={chosen.includes(platform)}
                onChange={(isOn) =>
                  setChosen(isOn ? [...chosen, platform] : chosen.filter((one) => one !== platform))
                }
              />
            ))}
          </fieldset>
        )}
      </Form>
    </Panel>
  )
}

function Warmed({ warmed: { parts, bytes, missing } }: { warmed: WarmedAnswer }) {
  if (missing.length === 0) {
    return (
      <p class="notice good" role="status">
        It is here: {formatCount(parts, 'part')}, {formatBytes(bytes)}.
      </p>
    )
  }
  return (
    <div class="notice bad" role="alert">
      <p>Not all of it could be had:</p>
      <ul class="said">
        {missing.map((line) => (
          <li key={line}>{line}</li>
        ))}
      </ul>
    </div>
  )
}

function Evicted({ evicted }: { evicted: EvictedAnswer }) {
  const { holders } = evicted
  return (
    <p class="notice good" role="status">
      {evictedInWords(evicted)}{' '}
      {holders.length > 0 &&
        `${formatList(holders.map((peer) => nameOf.value(peer)))} still ${holders.length === 1 ? 'has' : 'have'} all of it.`}
    </p>
  )
}
