/** Which families the pod network has. */
export interface Families {
  readonly ipv4: boolean;
  readonly ipv6: boolean;
}
