/** Whether an image would outlive its node, by what the other members say that they hold. */
import { callRunningNode } from '../../node/admin/client.ts'
import type { ImageDetails } from '../../node/operations/inspect.ts'

/** Asks the node on that data directory about an image that is one of a platform. That nothing is short may be said before the push was looked at. */
export async function hasSecondCopy(data: string, image: string): Promise<boolean> {
  const answer = await callRunningNode(data, 'inspect', { image, holders: true }, () => undefined)
  const details = answer?.result as ImageDetails
  const blobs = details.platforms.flatMap(({ content }) =>
    content === undefined ? [] : [content.config, ...content.layers],
  )
  return blobs.length > 0 && [details, ...blobs].every(({ holders = [] }) => holders.length > 0)
}
