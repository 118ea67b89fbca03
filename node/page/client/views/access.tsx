/** The policy's access rules, in the order in which they are asked, and what follows for somebody. */
import type { AccessAnswer } from '../../answers/access.ts'
import { formatCount } from '../format.ts'
import { Explain } from '../parts/explain.tsx'
import { Answered, Empty } from '../parts/states.tsx'
import { useAnswer } from '../use-answer.ts'

export function AccessView() {
  const answer = useAnswer<AccessAnswer>('/api/access')
  return (
    <>
      <h1>Access</h1>
      <Answered of={answer} waiting="the rules">
        {({ rules }) => (
          <>
            <p class="lead">
              {formatCount(rules.length, 'rule')}: the first that matches decides, and what none permits is
              refused.
            </p>
            {rules.length === 0 ? <Empty title="Everybody may everything." /> : <Rules rules={rules} />}
          </>
        )}
      </Answered>
      <section aria-labelledby="explain">
        <h2 id="explain">Who may do what</h2>
        <Explain ofAnybody />
      </section>
      <p class="quiet">
        Rules stand in the policy, which its authority signs: <code>shoal policy show</code>,{' '}
        <code>shoal policy set FILE</code>.
      </p>
    </>
  )
}

function Rules({ rules }: AccessAnswer) {
  return (
    <table class="table access">
      <thead>
        <tr>
          <th scope="col">Rule</th>
          <th scope="col">Repositories</th>
          <th scope="col">Who</th>
          <th scope="col">May</th>
        </tr>
      </thead>
      <tbody>
        {rules.map(({ repositories, who, may }, index) => (
          <tr key={index}>
            <td class="number">{index + 1}</td>
            <td class="name">
              <code>{repositories}</code>
            </td>
            <td>{who.join(', ') || 'nobody'}</td>
            <td>{may.join(', ') || 'nothing'}</td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}
