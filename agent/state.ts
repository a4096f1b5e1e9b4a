/** A device's life. `returning` and `erased` are reached at the provider. */
export type DeviceState = 'fresh' | 'locked' | 'open' | 'sealing' | 'sealed' | 'returning' | 'erased'
export type DeviceEvent =
  | 'prepared'
  | 'unlocked'
  | 'unlocked-sealed'
  | 'locked'
  | 'seal'
  | 'sealed'
  | 'reopened'
  | 'returned'
  | 'erased'

const NEXT: Record<DeviceState, Partial<Record<DeviceEvent, DeviceState>>> = {
  fresh: { prepared: 'locked' },
  locked: { unlocked: 'open', 'unlocked-sealed': 'sealed', returned: 'returning' },
  open: { locked: 'locked', seal: 'sealing' },
  // a seal that met a fault is gone on with by sealing again
  sealing: { seal: 'sealing', sealed: 'sealed', locked: 'locked' },
  sealed: { locked: 'locked', reopened: 'open', seal: 'sealing', returned: 'returning' },
  returning: { erased: 'erased', locked: 'locked' },
  erased: { prepared: 'locked' },
}

/** @returns the state after the event; null when the event is not for this state */
export function nextState(state: DeviceState, event: DeviceEvent): DeviceState | null {
  return NEXT[state][event] ?? null
}
