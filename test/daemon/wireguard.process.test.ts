import { wireguardSuite } from './wireguard-suite.ts';

wireguardSuite();
