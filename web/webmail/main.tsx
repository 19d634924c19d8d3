import { render } from 'preact';
import '../kit/style/base.css';
import '../kit/style/parts.css';
import '../kit/style/labels.css';
import './style/shell.css';
import './style/list.css';
import './style/letter.css';
import './style/compose.css';
import './style/fields.css';
import './style/print.css';
import { guardPage } from '../data/sanitise';
import { App } from './app';

guardPage();
const root = document.getElementById('app');
if (root) render(<App />, root);
