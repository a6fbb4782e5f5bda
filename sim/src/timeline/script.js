// Looks closer at a process, shows tooltips at once, filters the log, copies the line that runs it again.
'use strict';
(() => {
  const SVG = document.querySelector('svg').namespaceURI;
  const most = 2000;

  // Tooltips: the titles that browsers show late, shown at once.
  const tip = document.createElement('div');
  tip.className = 'tip';
  tip.hidden = true;
  document.body.append(tip);
  const titled = (element) => {
    for (let at = element; at && at !== document.body; at = at.parentNode) {
      if (at.dataset && at.dataset.tip) return at;
      const title = at.localName === 'g' || at.localName === 'rect'
        ? [...at.children].find((child) => child.localName === 'title')
        : null;
      const text = title ? title.textContent : at.getAttribute && at.getAttribute('title');
      if (text) {
        if (title) title.remove();
        else at.removeAttribute('title');
        at.dataset.tip = text;
        at.setAttribute('aria-label', text);
        return at;
      }
      if (at.localName === 'svg') return null;
    }
    return null;
  };
  const place = (x, y) => {
    const { offsetWidth: width, offsetHeight: height } = tip;
    tip.style.left = Math.max(8, Math.min(x + 14, innerWidth - width - 8)) + 'px';
    tip.style.top = (y + 20 + height > innerHeight ? y - height - 12 : y + 18) + 'px';
  };
  document.addEventListener('pointermove', (event) => {
    const at = titled(event.target);
    tip.hidden = !at;
    if (at) {
      if (tip.textContent !== at.dataset.tip) tip.textContent = at.dataset.tip;
      place(event.clientX, event.clientY);
    }
  });
  document.addEventListener('pointerleave', () => { tip.hidden = true; });
  addEventListener('scroll', () => { tip.hidden = true; }, { passive: true });

  // Times, as the page writes them.
  const exact = (nanos) => {
    const [per, digits, unit] = nanos < 1e3 ? [1, 0, 'ns'] : nanos < 1e6 ? [1e3, 3, 'µs']
      : nanos < 1e9 ? [1e6, 6, 'ms'] : [1e9, 9, 's'];
    const text = (nanos / per).toFixed(digits);
    return (digits ? text.replace(/\.?0+$/, '') : text) + '\u00a0' + unit;
  };
  const roundest = (low, high) => {
    for (let step = 10 ** Math.floor(Math.log10(Math.max(high, 1))); step >= 1; step /= 10) {
      for (const part of [step, Math.floor(step / 2), Math.floor(step / 5)]) {
        const multiple = part > 0 ? Math.floor(high / part) * part : -1;
        if (multiple >= low) return multiple;
      }
    }
    return low;
  };

  class Band {
    constructor(plot, tools) {
      this.plot = plot;
      this.width = +plot.dataset.width;
      this.height = +plot.dataset.height;
      this.knots = plot.dataset.knots.split(' ').map((knot) => knot.split(',').map(Number));
      this.zoomed = [...plot.querySelectorAll('.zoom')];
      this.fixed = [...plot.querySelectorAll('.fixed > [data-x]')];
      this.ticks = plot.querySelector('.ticks');
      this.whole = this.ticks.innerHTML;
      this.scale = 1;
      this.from = 0;
      this.listen();
      const button = (text, label, act) => {
        const made = document.createElement('button');
        made.type = 'button';
        made.textContent = text;
        made.setAttribute('aria-label', label);
        made.addEventListener('click', act);
        tools.append(made);
        return made;
      };
      button('+', 'Closer', () => this.zoom(2, this.width / 2));
      button('−', 'Further away', () => this.zoom(1 / 2, this.width / 2));
      this.reset = button('All of it', 'All of the process', () => this.show(0, 1));
      this.reset.disabled = true;
    }
    x(event) {
      const box = this.plot.querySelector('.ground').getBoundingClientRect();
      return (event.clientX - box.left) / box.width * this.width;
    }
    zoom(by, x) {
      const scale = Math.min(Math.max(this.scale * by, 1), most);
      this.show(this.from + x / this.scale - x / scale, scale);
    }
    moment(x) {
      let [low, high] = [0, this.knots.length - 1];
      while (high - low > 1) {
        const middle = (low + high) >> 1;
        if (this.knots[middle][1] <= x) low = middle; else high = middle;
      }
      const [[t0, x0], [t1, x1]] = [this.knots[low], this.knots[high]];
      return t0 + (t1 - t0) * Math.min(Math.max((x - x0) / Math.max(x1 - x0, 1e-9), 0), 1);
    }
    lies(t) {
      const after = this.knots.findIndex((knot) => knot[0] > t);
      if (after < 0) return this.width;
      if (after === 0) return 0;
      const [[t0, x0], [t1, x1]] = [this.knots[after - 1], this.knots[after]];
      return x0 + (x1 - x0) * (t - t0) / (t1 - t0);
    }
    show(from, scale) {
      this.scale = scale;
      this.from = Math.min(Math.max(from, 0), this.width - this.width / scale);
      const shift = -this.from * scale;
      for (const group of this.zoomed) group.setAttribute('transform', `translate(${shift}) scale(${scale} 1)`);
      for (const element of this.fixed) {
        element.setAttribute('transform', `translate(${+element.dataset.x * scale + shift})`);
        if (element.dataset.need) {
          element.classList.toggle('hidden', element.dataset.w * scale < +element.dataset.need);
        }
      }
      if (this.reset) this.reset.disabled = scale === 1;
      if (scale === 1) this.ticks.innerHTML = this.whole;
      else this.draw(shift);
    }
    draw(shift) {
      this.ticks.replaceChildren();
      let last = -1e9;
      for (let x = 60; x < this.width - 40; x += 120) {
        const [low, high] = [x - 30, x + 30].map((x) => Math.floor(this.moment(this.from + x / this.scale)));
        const t = roundest(low, high);
        const at = this.lies(t) * this.scale + shift;
        if (at < last + 70 || at < 20) continue;
        last = at;
        const group = document.createElementNS(SVG, 'g');
        group.setAttribute('transform', `translate(${at})`);
        const line = document.createElementNS(SVG, 'path');
        line.setAttribute('d', `M0 17V${this.height}`);
        const text = document.createElementNS(SVG, 'text');
        text.setAttribute('text-anchor', 'middle');
        text.setAttribute('y', '12');
        text.textContent = t === 0 ? 'start' : '+' + exact(t);
        group.append(line, text);
        this.ticks.append(group);
      }
    }
    listen() {
      let begun = null;
      let brush = null;
      this.plot.addEventListener('wheel', (event) => {
        const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey;
        if (event.ctrlKey || event.metaKey) {
          event.preventDefault();
          this.zoom(Math.exp(-event.deltaY / 300), this.x(event));
        } else if (sideways && this.scale > 1) {
          event.preventDefault();
          this.show(this.from + (event.deltaX || event.deltaY) / this.scale, this.scale);
        }
      }, { passive: false });
      this.plot.addEventListener('dblclick', () => this.show(0, 1));
      this.plot.addEventListener('pointerdown', (event) => {
        if (event.button === 0 && event.pointerType !== 'touch') begun = this.x(event);
      });
      const cover = (event) => {
        const x = Math.min(Math.max(this.x(event), 0), this.width);
        return [Math.min(begun, x), Math.max(begun, x)];
      };
      addEventListener('pointermove', (event) => {
        if (begun === null) return;
        const [low, high] = cover(event);
        if (!brush && high - low > 4) {
          brush = document.createElementNS(SVG, 'rect');
          brush.setAttribute('class', 'brush');
          brush.setAttribute('height', this.height);
          this.plot.append(brush);
        }
        if (brush) {
          event.preventDefault();
          brush.setAttribute('x', low);
          brush.setAttribute('width', high - low);
        }
      });
      addEventListener('pointerup', (event) => {
        if (begun !== null && brush) {
          const [low, high] = cover(event);
          const scale = Math.min(this.scale * this.width / Math.max(high - low, 1), most);
          this.show(this.from + low / this.scale, scale);
          getSelection().removeAllRanges();
        }
        if (brush) brush.remove();
        [begun, brush] = [null, null];
      });
    }
  }

  for (const process of document.querySelectorAll('.process')) {
    const tools = document.createElement('div');
    tools.className = 'tools';
    process.querySelector('header').append(tools);
    new Band(process.querySelector('.plot'), tools);
  }
  for (const hint of document.querySelectorAll('.hint')) hint.hidden = false;

  const code = document.querySelector('.replay code');
  if (code && navigator.clipboard) {
    const copy = document.createElement('button');
    copy.type = 'button';
    copy.textContent = 'Copy';
    copy.addEventListener('click', () => navigator.clipboard.writeText(code.textContent)
      .then(() => { copy.textContent = 'Copied'; }, () => { copy.textContent = 'Not allowed'; }));
    code.after(copy);
  }

  const log = document.querySelector('#log');
  const [filter, input, shown] = ['.filter', 'input', '.filter span'].map((name) => log.querySelector(name));
  const pre = log.querySelector('pre');
  filter.hidden = false;
  let lines = null;
  input.addEventListener('input', () => {
    lines = lines || pre.textContent.split('\n').filter((line) => line);
    const words = input.value.toLowerCase().split(' ').filter((word) => word);
    const matching = lines.filter((line) => words.every((word) => line.toLowerCase().includes(word)));
    pre.textContent = matching.join('\n');
    shown.textContent = words.length ? `${matching.length} of ${lines.length} lines` : '';
  });
})();
