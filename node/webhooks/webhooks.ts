/** Tells the configured webhooks what clients pull, push and delete. Loaded only where there are some. */
import type { Clock, Logger, Metrics } from '../../src/base/base.ts'
import { Delivery, type DeliveryLimits } from '../delivery.ts'
import type { RequestListener } from '../requests/request-tracer.ts'
import { type EventSource, envelopeType, notificationOf } from './events.ts'
import { readWebhook, type WebhookSetting } from './webhook-setting.ts'

export interface Webhooks extends AsyncDisposable {
  readonly listener: RequestListener
}

export interface WebhooksOptions {
  settings: readonly WebhookSetting[]
  environment: NodeJS.ProcessEnv
  source: EventSource
  clock: Clock
  /** From 0 to 1. */
  random: () => number
  logger: Logger
  metrics: Metrics
  limits?: Partial<DeliveryLimits>
}

/** Throws WebhookError. */
export async function openWebhooks(options: WebhooksOptions): Promise<Webhooks> {
  const { settings, environment, source, metrics, ...rest } = options
  const webhooks = await Promise.all(settings.map((setting) => readWebhook(setting, environment)))
  await using opened = new AsyncDisposableStack()
  const receivers = webhooks.map(({ url, headers, actions }) => ({
    actions,
    delivery: opened.use(
      new Delivery({
        ...rest,
        what: 'events for a webhook',
        url,
        headers,
        contentType: envelopeType,
        envelope: (events) => `{"events":[${events.join(',')}]}`,
        onResult: (result, count) => metrics.count('shoal_webhook_events_total', { result }, count),
        onRequest: (result) => metrics.count('shoal_webhook_requests_total', { result }),
      }),
    ),
  }))
  metrics.gauge('shoal_webhook_queued', () => receivers.reduce((sum, { delivery }) => sum + delivery.size, 0))
  const resources = opened.move()
  return {
    listener(finished) {
      const notification = notificationOf(finished, source)
      if (notification === undefined) return
      for (const { actions, delivery } of receivers) {
        if (actions.includes(notification.action)) delivery.add(notification.text)
      }
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}
