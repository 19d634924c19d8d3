/** A list of any length with only the rows in view in the document:
 * @tanstack/virtual-core bound to Preact. */
import {
  elementScroll,
  observeElementOffset,
  observeElementRect,
  type VirtualItem,
  Virtualizer,
} from '@tanstack/virtual-core';
import type { RefObject } from 'preact';
import { useLayoutEffect, useReducer, useRef } from 'preact/hooks';

/** Rows kept ready above and below the view. */
const OVERSCAN = 8;

export interface Virtual {
  items: VirtualItem[];
  height: number;
  scrollTo(index: number): void;
}

/** `rowHeight` is the same for all rows, so nothing is measured and nothing jumps. */
export function useVirtual(
  scroller: RefObject<HTMLElement | null>,
  count: number,
  rowHeight: number,
): Virtual {
  const [, again] = useReducer((n: number) => n + 1, 0);
  const ref = useRef<Virtualizer<HTMLElement, HTMLElement> | null>(null);
  const options = {
    count,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowHeight,
    overscan: OVERSCAN,
    scrollToFn: elementScroll,
    observeElementRect,
    observeElementOffset,
    onChange: () => again(undefined as never),
  };
  ref.current ??= new Virtualizer<HTMLElement, HTMLElement>(options);
  const v = ref.current;
  v.setOptions(options);
  useLayoutEffect(() => v._didMount(), [v]);
  useLayoutEffect(() => v._willUpdate());
  useLayoutEffect(() => v.measure(), [v, rowHeight]);
  return {
    items: v.getVirtualItems(),
    height: v.getTotalSize(),
    scrollTo: (i) => v.scrollToIndex(i, { align: 'auto' }),
  };
}
