# SPDX-License-Identifier: MIT OR Apache-2.0
"""How a page looks, asked in its own language."""

# What is wider than the window, but for what can be scrolled by itself.
TOO_WIDE = """
    [...document.querySelectorAll('body *')].filter(one => !one.closest('.scroll') || one.matches('.scroll'))
        .filter(one => one.getBoundingClientRect().right > innerWidth + 0.5 || one.getBoundingClientRect().left < -0.5)
        .map(one => `${one.tagName}.${one.className.baseVal ?? one.className}: ${one.textContent.slice(0, 40)}`)"""

# The smallest letters, in CSS pixels as they are shown.
SMALLEST = """
    Math.min(...[...document.querySelectorAll('h1,h2,p,td,th,span,small,strong,svg text')].map(one => {
        const svg = one.closest('svg');
        const box = svg ? svg.viewBox.baseVal.width : 0;
        const scale = box ? svg.getBoundingClientRect().width / box : 1;
        return parseFloat(getComputedStyle(one).fontSize) * scale
    }))"""

# The weakest contrast between letters and what is behind them (WCAG).
CONTRAST = """
    (() => {
        const light = color => {
            const [r, g, b] = color.match(/[\\d.]+/g).map(Number).map(v => v / 255)
                .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b
        };
        const behind = one => {
            for (let up = one; up; up = up.parentElement) {
                const color = getComputedStyle(up).backgroundColor;
                if (color !== 'rgba(0, 0, 0, 0)') return color
            }
            return 'rgb(255, 255, 255)'
        };
        return Math.min(...[...document.querySelectorAll('h1,h2,p,td,th,span,small,strong,svg text')].map(one => {
            const style = getComputedStyle(one);
            const a = light(one.closest('svg') ? style.fill : style.color), b = light(behind(one));
            return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
        }))
    })()"""
