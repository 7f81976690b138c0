// The cards on the page: in order, drawn when they are on screen, and only these are fed. DOM only.

import { Card } from './card.js';

/** @typedef {Record<string, any>} Task */

const FRAME_MS = 12;

export class Grid {
  /**
   * @param {HTMLElement} host @param {import('../log/client.js').Client} client
   * @param {{ arrange: () => Task[], chosen: (id: string) => import('./card.js').Chosen }} board
   *   `arrange`: the order may have changed: which tasks are to be shown
   */
  constructor(host, client, board) {
    this.host = host;
    this.client = client;
    this.board = board;
    /** @type {Map<string, Card>} */
    this.cards = new Map();
    /** @type {import('./card.js').Look} */
    this.look = { compact: false, selecting: false };
    this.frame = 0;
    this.stale = true;
    this.seen = new IntersectionObserver((entries) => {
      for (const entry of entries) this.at(entry.target)?.setOnScreen(entry.isIntersecting);
    }, { rootMargin: '120px' });
  }

  /** The card that an element belongs to. @param {EventTarget | null} target */
  at(target) {
    const card = target instanceof Element ? target.closest('.card') : null;
    return card instanceof HTMLElement ? this.cards.get(card.dataset.taskId ?? '') : undefined;
  }

  /** @param {boolean} [order] which cards there are, and where, may have changed */
  refresh(order = false) {
    this.stale ||= order;
    this.frame ||= requestAnimationFrame(() => this.draw());
  }

  /** All cards look different now. */
  redraw() {
    this.host.classList.toggle('as-list', this.look.compact);
    this.host.classList.toggle('selecting', this.look.selecting);
    for (const card of this.cards.values()) card.stale = true;
    this.refresh(true);
  }

  draw() {
    this.frame = 0;
    const until = performance.now() + FRAME_MS;
    if (this.stale) {
      this.stale = false;
      this.arrange(this.board.arrange());
    }
    const now = this.client.now();
    for (const card of this.cards.values()) {
      if (!card.stale || !card.onScreen) continue;
      if (performance.now() > until) return this.refresh();
      card.draw(now);
    }
  }

  /** Put the cards in order; those that stay where they are are not touched. @param {Task[]} tasks */
  arrange(tasks) {
    const wanted = new Set(tasks.map((task) => task.id));
    for (const [id, card] of this.cards) if (!wanted.has(id)) this.remove(id, card);
    const focused = document.activeElement;
    let next = this.host.firstElementChild;
    for (const task of tasks) {
      const card = this.cards.get(task.id) ?? this.add(task);
      if (card.element === next) next = next.nextElementSibling;
      else this.host.insertBefore(card.element, next);
    }
    // what is moved loses the focus
    if (focused instanceof HTMLElement && focused !== document.activeElement && this.host.contains(focused)) focused.focus({ preventScroll: true });
  }

  /** @param {Task} task */
  add(task) {
    const card = new Card(task, this.client, { changed: () => this.refresh(), look: this.look, chosen: this.board.chosen });
    this.cards.set(task.id, card);
    this.seen.observe(card.element);
    card.draw(this.client.now());
    card.stale = true;
    return card;
  }

  /** @param {string} id @param {Card} card */
  remove(id, card) {
    this.seen.unobserve(card.element);
    card.setOnScreen(false);
    card.element.remove();
    this.cards.delete(id);
  }

  tick() {
    const now = this.client.now();
    for (const card of this.cards.values()) if (card.onScreen) card.tick(now);
  }

  /** Move to the next card, or the one before. @param {number} by */
  go(by) {
    const all = [...this.host.children];
    const at = all.indexOf(/** @type {Element} */ (document.activeElement?.closest('.card')));
    const card = this.at(all[at < 0 ? 0 : Math.max(0, Math.min(all.length - 1, at + by))]);
    card?.name.focus();
    card?.element.scrollIntoView({ block: 'nearest' });
  }
}
