/** The keep rules of this node: what is to be here always, and what of it is not yet. */
import { useState } from 'preact/hooks'
import type { RuleFacts, RulesAnswer } from '../../answers/storage.ts'
import { change } from '../api.ts'
import { formatBytes, formatCount } from '../format.ts'
import { Age } from '../parts/age.tsx'
import { Confirm } from '../parts/confirm.tsx'
import { Field, Form, listOf, textOf } from '../parts/fields.tsx'
import { Progress } from '../parts/progress.tsx'
import { Answered, Empty } from '../parts/states.tsx'
import { hrefOf } from '../route.ts'
import { useAnswer } from '../use-answer.ts'
import { rulesInWords } from '../words.ts'

export function KeepView() {
  const answer = useAnswer<RulesAnswer>('/api/keep', { follow: false })
  return (
    <>
      <h1>Keep rules</h1>
      <Answered of={answer} waiting="the rules">
        {({ rules, mayChange }) => (
          <>
            <p class="lead">{rulesInWords(rules)}</p>
            {rules.length === 0 ? (
              <NoRules />
            ) : (
              rules.map((rule) => (
                <Rule key={rule.id} rule={rule} {...(mayChange ? { onRemoved: answer.again } : {})} />
              ))
            )}
            {mayChange && <NewRule onAdded={answer.again} />}
          </>
        )}
      </Answered>
    </>
  )
}

function NoRules() {
  return (
    <Empty title="There is no rule.">
      <p>
        With <code>shoal keep add 'team/**'</code> this node holds every image of those repositories, so that
        they can be pulled here while everybody else is out of reach.
      </p>
    </Empty>
  )
}

/** As `shoal keep add`. */
function NewRule({ onAdded }: { onAdded(): void }) {
  const send = async (fields: FormData): Promise<void> => {
    await change('/api/keep-add', {
      repositories: textOf(fields, 'repositories').trim(),
      tags: textOf(fields, 'tags').trim(),
      platforms: listOf(fields, 'platforms'),
    })
    onAdded()
  }
  return (
    <section aria-labelledby="new-rule">
      <h2 id="new-rule">Keep more here</h2>
      <Form action="Add the rule" label="Add a keep rule" onSend={send}>
        <Field
          label="Repositories"
          name="repositories"
          hint="such as team/app, or team/** for all below it"
        />
        <Field label="Tags" name="tags" hint="such as release-*; all without it" isOptional />
        <Field
          label="Platforms"
          name="platforms"
          hint="such as linux/amd64, with commas between"
          isOptional
        />
      </Form>
    </section>
  )
}

function RuleRemoval({ rule: { id, repositories }, onRemoved }: { rule: RuleFacts; onRemoved(): void }) {
  const [isAsking, setAsking] = useState(false)
  return (
    <>
      <button
        type="button"
        class="small rule-end"
        aria-label={`Remove the rule for ${repositories}…`}
        onClick={() => setAsking(true)}
      >
        Remove…
      </button>
      {isAsking && (
        <Confirm
          title={`Keep ${repositories} no longer?`}
          action="Remove the rule"
          onConfirm={async () => {
            await change('/api/keep-rm', { rule: id })
            onRemoved()
          }}
          onClose={() => setAsking(false)}
        >
          <p>What is here stays until room is needed or nothing refers to it.</p>
        </Confirm>
      )}
    </>
  )
}

function Rule({ rule, onRemoved }: { rule: RuleFacts; onRemoved?(): void }) {
  const { id, repositories, tags, platforms = [], images, complete, missingBytes, missing } = rule
  const only = [tags === undefined ? '' : `tags ${tags}`, platforms.length === 0 ? '' : platforms.join(', ')]
  const more = images - complete - missing.length
  return (
    <section aria-labelledby={`rule-${id}`}>
      <h2 id={`rule-${id}`}>
        <code>{repositories}</code>{' '}
        <span class="quiet">{only.filter((text) => text !== '').join(' · ')}</span>
      </h2>
      <Progress part={complete} whole={images} label={`Complete images of ${repositories}`} />
      <p class="quiet">
        {images === 0
          ? 'No image matches it yet.'
          : `${complete} of ${formatCount(images, 'image')} ${images === 1 ? 'is' : 'are'} complete`}
        {missingBytes > 0 && `; ${formatBytes(missingBytes)} are missing`}
      </p>
      {missing.length > 0 && (
        <ul class="lines">
          {missing.map(({ name, parts, sinceMs }) => (
            <li key={name}>
              <a href={hrefOfName(name)}>{name}</a>
              <span class="quiet">
                {formatCount(parts, 'part')} missing, pushed <Age atMs={sinceMs} />
              </span>
            </li>
          ))}
        </ul>
      )}
      {onRemoved !== undefined && <RuleRemoval rule={rule} onRemoved={onRemoved} />}
      {missing.length > 0 && more > 0 && <p class="quiet">{formatCount(more, 'more image')} not complete.</p>}
    </section>
  )
}

/** A tag holds no colon. */
function hrefOfName(name: string): string {
  const colon = name.lastIndexOf(':')
  return hrefOf({ view: 'image', repository: name.slice(0, colon), reference: name.slice(colon + 1) })
}
