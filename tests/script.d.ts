// What static/parley.js uses of htmx, for its type check (see docs/architecture.md).
declare const htmx: {
  ajax(method: string, url: string, options: Record<string, string>): Promise<void>;
  process(element: Element): void;
  trigger(element: Element, name: string, detail?: object): boolean;
};
