import type { World } from './world.ts';

/** What a sweep has released. */
export interface Swept {
  readonly addresses: number;
  readonly attachments: number;
}

/** See CniService.sweep. `dataDir` is flannel's. */
export async function sweep(_world: World, _dataDir: string): Promise<Swept> {
  return { addresses: 0, attachments: 0 };
}
